//! The one way to a target: over TCP or a unix socket, with TLS or without. Whatever dials goes through here; the tap sits above.

use super::{app::Pipe, distance::Distance};
use std::{
    error::Error,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tokio::{
    net::{TcpSocket, TcpStream, UnixStream, lookup_host},
    time::{Duration, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName, version,
    },
};

/// Where a target listens, and how it is spoken to there.
#[derive(Clone, Debug)]
pub struct Way {
    host: String,
    port: u16,
    socket: Option<PathBuf>,
    tls: Option<Arc<Tls>>,
    distance: Distance,
    /// The address of ours; none: any.
    from: Option<Ipv4Addr>,
}

/// Which HTTP is spoken on a connection, for who has TLS to agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// Who may vouch for a target.
#[derive(Debug, Default)]
struct Tls {
    /// Certificates in PEM; none is what this system has.
    ca: Option<PathBuf>,
    /// Made when it is first needed: a target that we start may write its certificates only then.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Way {
    pub(crate) fn tcp(host: &str, port: u16, tls: bool) -> Self {
        let tls = tls.then(Arc::default);
        Self { host: host.to_owned(), port, socket: None, tls, distance: Distance::default(), from: None }
    }

    /// To this unix socket, whatever host and port the URL names.
    pub(crate) fn socket(mut self, path: PathBuf) -> Self {
        self.socket = Some(path);
        self
    }

    /// As if it were that far away.
    pub(crate) fn distance(mut self, distance: Distance) -> Self {
        self.distance = distance;
        self
    }

    /// From this address of ours.
    pub(crate) fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// Whether it leads to a loopback address of IPv4 on a system that has all of them.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.parse().map_or(self.host == "localhost", |ip: Ipv4Addr| ip.is_loopback());
        cfg!(target_os = "linux") && self.socket.is_none() && host
    }

    /// With these certificates instead of those of the system.
    pub(crate) fn ca(mut self, path: PathBuf) -> Self {
        self.tls = Some(Arc::new(Tls { ca: Some(path), config: OnceLock::new() }));
        self
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificates that were given, so that what is wrong with them is said before anything is dialled.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        match &self.tls {
            Some(tls) if tls.ca.is_some() => tls.config().map(drop),
            _ => Ok(()),
        }
    }

    /// Connects, without delay of small packets; with this much room, in bytes, for what comes and is not read.
    pub(crate) async fn dial(&self, room: Option<u32>, speaks: Speaks) -> io::Result<Box<dyn Pipe>> {
        let plain: Box<dyn Pipe> = match &self.socket {
            Some(path) => Box::new(UnixStream::connect(path).await?),
            None => {
                let stream = tcp(&self.host, self.port, room, self.from).await?;
                // A socket that refuses the option still works; it is only slower.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
        };
        let near = match &self.tls {
            Some(tls) => tls.over(plain, &self.host, speaks).await?,
            None => plain,
        };
        Ok(self.distance.through(near))
    }

    /// Whether anybody takes a connection here, without a word of TLS or anything else.
    pub(crate) async fn is_open(&self, wait: Duration) -> bool {
        let dial = async {
            match &self.socket {
                Some(path) => UnixStream::connect(path).await.is_ok(),
                None => tcp(&self.host, self.port, None, self.from).await.is_ok_and(|stream| {
                    // Where nobody listens a connection may find itself.
                    matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours != theirs)
                }),
            }
        };
        timeout(wait, dial).await.unwrap_or(false)
    }

    /// Whether anything answers here in HTTP within this time to a GET of this path.
    pub(crate) async fn answers(&self, authority: &str, path: &str, wait: Duration) -> Result<(), String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let ask = async {
            let mut stream = self.dial(None, Speaks::Http1).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let mut start = [0; 5];
            stream.read_exact(&mut start).await?;
            if start == *b"HTTP/" { Ok(()) } else { Err(io::Error::other("what it says is not HTTP")) }
        };
        match timeout(wait, ask).await {
            Ok(asked) => asked.map_err(|e| e.to_string()),
            Err(_) => Err("no answer in time".into()),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "the unix socket {}", path.display()),
            None if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Connects to the first address of a host that takes it; from this address of ours, which is one of IPv4.
async fn tcp(host: &str, port: u16, room: Option<u32>, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    if room.is_none() && from.is_none() {
        return TcpStream::connect((host, port)).await;
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        if from.is_some() && address.is_ipv6() {
            continue;
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(room) = room {
            socket.set_recv_buffer_size(room)?;
        }
        if let Some(from) = from {
            socket.bind(SocketAddr::from((from, 0)))?;
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

impl Tls {
    async fn over(&self, plain: Box<dyn Pipe>, host: &str, speaks: Speaks) -> io::Result<Box<dyn Pipe>> {
        let mut config = self.config().map_err(io::Error::other)?;
        if speaks == Speaks::Http2 {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other(format!("no certificate can be for the host `{host}`")))?;
        let shaken = TlsConnector::from(config).connect(name, plain).await;
        Ok(Box::new(shaken.map_err(|e| io::Error::other(self.told(&e, host)))?))
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let (found, whose) = match &self.ca {
            Some(path) => {
                let found = rustls_native_certs::load_certs_from_paths(Some(path), None);
                (found, format!("the file {} under [tls] ca", path.display()))
            }
            None => (rustls_native_certs::load_native_certs(), "this system".into()),
        };
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = found.errors.first().map(|e| format!(": {}", last_cause(e))).unwrap_or_default();
            return Err(format!(
                "{whose} has no certificate in PEM that can vouch for a target{why}; give a file with the certificate \
                 of the authority as `ca = \"PATH\"` under [tls] in the target file"
            ));
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Every connection is a fresh one: what one learnt is nothing to another.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }

    /// Why no connection came about, and what to do.
    fn told(&self, error: &io::Error, host: &str) -> String {
        let known = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let trusted = match &self.ca {
            Some(path) => format!("the certificates in {}", path.display()),
            None => "the authorities of this system".into(),
        };
        match known {
            Some(rustls::Error::InvalidCertificate(why)) => match why {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                    "the certificate of {host} is signed by none of {trusted}; give the certificate of the authority \
                     that signed it as `ca = \"PATH\"` under [tls] in the target file"
                ),
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    let names = match why {
                        CertificateError::NotValidForNameContext { presented, .. } => {
                            // As in `DnsName("localhost")`.
                            let name = |shown: &String| {
                                let inner = shown.split_once('(').map_or(&**shown, |(_, inner)| inner);
                                inner.trim_matches([')', '"']).to_owned()
                            };
                            presented.iter().map(name).collect::<Vec<_>>().join(", ")
                        }
                        _ => "another name".into(),
                    };
                    format!("the certificate is not for {host} but for {names}; name one of these in the URL")
                }
                CertificateError::Other(_) if why.to_string().contains("CaUsedAsEndEntity") => format!(
                    "the certificate of {host} is that of an authority (CA:TRUE); let the authority sign one for the \
                     server, or make one with basicConstraints=CA:FALSE"
                ),
                _ => format!("the certificate of {host} is not accepted: {why}"),
            },
            Some(rustls::Error::InvalidMessage(_)) => {
                format!("what {host} answers is not TLS ({error}); is it a target for http:// ?")
            }
            Some(e) => format!("no TLS with {host}: {e}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                format!("no TLS with {host}: it closed the connection; is it a target for http:// ?")
            }
            None => format!("no TLS with {host}: {error}"),
        }
    }
}

/// The last of the causes of an error: what the system said.
fn last_cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// A path as a text in which something stands for something else.
pub(crate) fn filled(path: &Path, fill: impl Fn(&str) -> String) -> PathBuf {
    match path.to_str() {
        Some(text) => fill(text).into(),
        None => path.to_owned(),
    }
}
