//! Processes of this machine, and whose they are.

/// The processes below this one.
pub(crate) fn below(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in brackets: state, then the parent.
        let mut after = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let state = after.next().unwrap_or_default().to_owned();
        if after.next().and_then(|text| text.parse().ok()) == Some(parent) && state != "Z" {
            found.push(pid);
        }
    }
    found
}

/// A process's command line; empty when it is gone.
pub(crate) fn command(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
