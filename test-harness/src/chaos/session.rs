//! What was done so far, where each step is a call of the program: kept in a file between the calls of one parent.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::timeline::Timeline;

/// A session: a timeline in a file.
#[derive(Debug)]
pub struct Session {
    file: PathBuf,
    /// What happened so far.
    pub timeline: Timeline,
}

impl Session {
    /// The session of an experiment. The steps that one program calls are one session, unless a file is named.
    ///
    /// # Errors
    /// If its file cannot be read, or holds something else.
    pub fn open(named: Option<&Path>, experiment: &Path, warm_up: u64) -> std::io::Result<Self> {
        let file = match named {
            Some(file) => file.to_owned(),
            None => default(experiment)?,
        };
        let timeline = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidData,
                    format!("{}: {error}", file.display()),
                )
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Timeline::new(warm_up),
            Err(error) => return Err(error),
        };
        Ok(Self { file, timeline })
    }

    /// Keeps it for the next step. Whoever interrupts that leaves the file as it was, or as it is to be.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn keep(&self) -> std::io::Result<()> {
        let mut next = self.file.clone().into_os_string();
        next.push(format!(".{}", std::process::id()));
        fs::write(&next, serde_json::to_string(&self.timeline)?)?;
        fs::rename(next, &self.file)
    }

    /// It is over.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn end(&self) -> std::io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn default(experiment: &Path) -> std::io::Result<PathBuf> {
    let digest = Sha256::digest(experiment.canonicalize()?.as_os_str().as_encoded_bytes());
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let parent = std::os::unix::process::parent_id();
    Ok(std::env::temp_dir().join(format!("seawall-chaos-{parent}-{digest}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_on_until_it_ends() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("session.json");
        let open = || Session::open(Some(&file), Path::new("x.yaml"), 7);
        let mut first = open().unwrap();
        assert_eq!(first.timeline.clock, 7);
        first.timeline.wait(3);
        first.keep().unwrap();
        assert_eq!(open().unwrap().timeline.clock, 10);
        first.end().unwrap();
        first.end().unwrap();
        assert_eq!(open().unwrap().timeline.clock, 7, "it is a new one");
        fs::write(&file, "{").unwrap();
        assert_eq!(open().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
