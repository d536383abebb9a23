//! Where a client goes: from a URL to host, port and path.

use hyper::Uri;

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The whole URL.
    pub(crate) url: String,
    /// As it stands in a `Host` header.
    pub(crate) authority: String,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Whether it is spoken to in TLS.
    pub(crate) tls: bool,
    /// The path, without a query.
    pub(crate) path: String,
}

/// Where a URL of this scheme leads, or of that of WebSockets over TLS where the scheme is that of WebSockets.
///
/// # Errors
/// Why it leads nowhere.
pub(crate) fn place(url: &str, scheme: &str) -> Result<Place, String> {
    let uri: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
    let tls = match uri.scheme_str() {
        Some(found) if found == scheme => false,
        Some("wss") if scheme == "ws" => true,
        Some("https" | "wss") => return Err("calls of this client are not made over TLS".into()),
        _ => return Err(format!("expected one that begins with http:// or {scheme}://")),
    };
    let authority = uri.authority().ok_or("it names no host")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.as_str().contains('@') {
        return Err("expected a host, and perhaps a port".into());
    }
    Ok(Place {
        url: url.to_owned(),
        authority: authority.as_str().to_owned(),
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        tls,
        path: uri.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places() {
        let found = place("ws://[::1]:81/x", "ws").unwrap();
        assert_eq!((found.host.as_str(), found.port, found.path.as_str()), ("::1", 81, "/x"));
        assert_eq!(place("http://h", "http").unwrap().port, 80);
        let secure = place("wss://h/x", "ws").unwrap();
        assert_eq!((secure.port, secure.tls), (443, true));
        assert!(place("https://h", "http").is_err(), "calls are made in the clear");
        for wrong in ["", "/x", "h:1", "ftp://h/", "ws://user@h/", "ws:///x"] {
            assert!(place(wrong, "ws").is_err(), "{wrong}");
        }
    }
}
