//! Which exchanges are kept, and who may be given what was kept.
//!
//! All of it is read off header lines as they came: any number of lines of one name, in any case, with any bytes.

pub mod lookup;
mod names;
pub mod response;

/// Parts of names that stand for who is allowed: with one of them, an exchange belongs to one caller. `Authorization` is
/// the one that RFC 9111 knows; gateways and applications carry the same under many names. The list has holes and may
/// have them: an exchange with a credential that is not known here carries a header of one client's own.
const CREDENTIALS: [&[u8]; 17] = [
    b"apikey",
    b"api-key",
    b"assertion",
    b"auth",
    b"bearer",
    b"credential",
    b"csrf",
    b"dpop",
    b"jwt",
    b"oidc",
    b"-otp",
    b"passw",
    b"saml",
    b"secret",
    b"session",
    b"token",
    b"xsrf",
];

/// Whether a name, in lower case, stands for a credential.
pub(super) fn is_credential(name: &[u8]) -> bool {
    // Without a credential in them: where the credential is asked for, and whom a browser would send one to.
    const ASKING: [&[u8]; 2] = [b":authority", b"access-control-allow-credentials"];
    !ASKING.contains(&name) && holds_one_of(name, &CREDENTIALS)
}

/// Whether a name, in lower case, is that of a key by which somebody is let in.
pub(super) fn is_a_key(name: &[u8]) -> bool {
    (name.ends_with(b"-key") || name.ends_with(b"_key")) && name != b"idempotency-key"
}

/// Whether a name begins with one of these.
fn begins_with_one_of(name: &[u8], beginnings: &[&[u8]]) -> bool {
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

/// Whether one of these stands in a name; `_` counts as `-`, as it does for most applications.
fn holds_one_of(name: &[u8], parts: &[&[u8]]) -> bool {
    let same = |(byte, part): (&u8, &u8)| byte == part || (*byte == b'_' && *part == b'-');
    parts.iter().any(|part| {
        let mut windows = name.windows(part.len());
        windows.any(|window| window.iter().zip(part.iter()).all(same))
    })
}
