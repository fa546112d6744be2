//! `kubottle`: the native program. `kubottle serve` answers the real Kubernetes HTTP API from a cluster in this process; `kubottle lab`
//! is for authors of labs.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    const USAGE: &str = "Usage: kubottle serve [--config demo|recorded|wire|kubelet|FILE] [--speed 1x|max|Nx] [--port 6443] [--write-kubeconfig FILE]\n       kubottle lab new FOLDER | check FOLDER… | build FOLDER-OF-LABS";
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("serve") => server::Options::parse(args).map_err(Into::into).and_then(|options| server::serve(&options)),
        Some("lab") => server::labs::command(&args.collect::<Vec<_>>()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return std::process::ExitCode::SUCCESS;
        }
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubottle: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Only the page is ever built for the browser.
#[cfg(target_arch = "wasm32")]
fn main() {}
