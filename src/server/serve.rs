//! `kubottle serve`: options, the listening socket, the threads.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

use base::Time;
use cluster::Config;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::http::{Gate, handle};
use crate::pacer::Speed;
use crate::{der, machine, tls};

type Failure = Box<dyn std::error::Error>;

/// The command line of `kubottle serve`.
#[derive(Clone, Debug)]
pub struct Options {
    /// A built-in configuration's name, or a YAML file.
    pub config: String,
    pub speed: Speed,
    /// 0: any free one.
    pub port: u16,
    pub write_kubeconfig: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { config: "demo".into(), speed: Speed::Times(1.0), port: 6443, write_kubeconfig: None }
    }
}

impl Options {
    /// Reads `--name value` and `--name=value`.
    ///
    /// # Errors
    /// One sentence for the first mistake.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_string(), Some(value.to_string())),
                None => (arg, None),
            };
            if !["--config", "--speed", "--port", "--write-kubeconfig"].contains(&name.as_str()) {
                return Err(format!("unknown flag: {name}"));
            }
            let value = value.or_else(|| args.next()).ok_or_else(|| format!("flag needs an argument: {name}"))?;
            let invalid = |what: &str| format!("invalid argument {value:?} for {name:?}: {what}");
            match name.as_str() {
                "--config" => options.config = value,
                "--speed" => options.speed = Speed::parse(&value).ok_or_else(|| invalid("1x, 0.5x, 60x or max"))?,
                "--port" => options.port = value.parse().map_err(|_| invalid("a port number"))?,
                _ => options.write_kubeconfig = Some(value),
            }
        }
        Ok(options)
    }

    /// The configuration that is meant. Without an epoch of its own the cluster is a minute old when it is served.
    fn configuration(&self) -> Result<Config, String> {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let epoch = Time::from_secs(wall - 60);
        if let Some(config) = Config::named(&self.config) {
            return Ok(Config { epoch, ..config });
        }
        let text = std::fs::read_to_string(&self.config).map_err(|e| format!("--config {}: {e}", self.config))?;
        let config = Config::from_yaml(&text).map_err(|e| format!("{}: {e}", self.config))?;
        let has_epoch = text.lines().any(|l| l.starts_with("epoch:"));
        Ok(if has_epoch { config } else { Config { epoch, ..config } })
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// A bad configuration, a port in use, a file that can't be written.
pub fn serve(options: &Options) -> Result<(), Failure> {
    options.configuration()?;
    let identity = tls::identity()?;
    let (to_cluster, inbox) = mpsc::channel();
    let (ready, booted) = mpsc::channel();
    // A configuration does not cross threads: the cluster's own makes it again.
    let (own, speed) = (options.clone(), options.speed);
    let cluster = std::thread::Builder::new().name("cluster".into()).stack_size(256 << 20).spawn(move || {
        if let Ok(config) = own.configuration() {
            machine::run(config, speed, &inbox, || ready.send(()).unwrap_or_default());
        }
    })?;
    let gate = Gate { to_cluster, next: Arc::new(AtomicU64::new(1)) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let acceptor = TlsAcceptor::from(identity.config.clone());
    let local = runtime.block_on(async {
        // Loopback only: whoever reaches it is the administrator of a cluster that is nobody else's.
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
        let server = format!("https://{}", listener.local_addr()?);
        booted.recv().map_err(|_| "the cluster did not come up")?;
        let kubeconfig = tls::kubeconfig(&identity, &server);
        if let Some(path) = &options.write_kubeconfig {
            std::fs::write(path, kubeconfig).map_err(|e| format!("--write-kubeconfig {path}: {e}"))?;
        }
        println!("Kubottle: {server}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, acceptor.clone(), gate.clone()));
        }
        #[allow(unreachable_code, reason = "it gives the block its type")]
        Ok::<(), Failure>(())
    });
    drop(cluster);
    local
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, gate: Gate) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|c| der::holder(c.first()?));
    let service = service_fn(|request| handle(request, gate.clone(), certificate.clone()));
    // A client that goes away in the midst of something is no error of the server's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}
