//! CometBFT as a child process: found, started, watched, stopped.
//!
//! The child does not outlive us even if we are killed: it holds the reading end of a pipe that closes with our
//! process, and ends when it does (`node/cometbft/start.go`). If the child ends first, so do we.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    fs::{File, OpenOptions},
    io::Write,
    net::{TcpListener, ToSocketAddrs},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{COMETBFT_VERSION, config_file, genesis_file};
use crate::abci::Address;

/// Names the binary where `--cometbft` does not.
pub const ENV_BINARY: &str = "VIRTENGINE_COMETBFT";
/// Tells the child which open file ends with us.
const ENV_PARENT_PIPE: &str = "VIRTENGINE_PARENT_PIPE";
/// Longer than the child's own limit for a graceful stop, 10 s.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Lines of the child's output that are repeated when it fails.
const LAST_LINES: usize = 10;

/// How a child is run.
#[derive(Clone, Debug)]
pub struct Comet {
    /// The binary, from [`find`].
    pub binary: PathBuf,
    /// The node's home, which is CometBFT's too.
    pub home: PathBuf,
    /// Where our ABCI server listens already.
    pub app: Address,
    /// A file that receives the child's log as it is; without one it becomes part of ours, target `cometbft`.
    pub log: Option<PathBuf>,
    /// How long a graceful stop may take before the child is killed; see [`STOP_TIMEOUT`].
    pub stop_timeout: Duration,
}

impl Comet {
    /// Runs CometBFT until `stop` resolves.
    ///
    /// # Errors
    /// The home is not initialized, a port is taken, the child cannot be started, or it ended before it was asked to.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        check_home(&self.home)?;
        check_version(&self.binary).await?;
        check_ports(&config_file(&self.home))?;

        let mut child = self.command().spawn().with_context(|| format!("starting {}", self.binary.display()))?;
        // Open for as long as we run; the child ends with it.
        let _pipe = child.stdin.take();
        let output = Output::new(self.log.as_deref())?;
        let readers = [output.forward(child.stdout.take().expect("piped")), output.forward(child.stderr.take().expect("piped"))];
        let ended = tokio::select! {
            status = child.wait() => Some(status?),
            () = stop => None,
        };
        let status = match ended {
            Some(status) => status,
            None => self.stop(&mut child).await?,
        };
        for reader in readers {
            // A grandchild may hold the pipe open.
            if timeout(Duration::from_secs(1), reader).await.is_err() {
                tracing::debug!("CometBFT's output is still open");
            }
        }
        ensure!(ended.is_none(), "CometBFT ended by itself ({status}), and the node with it; its last lines:\n{}", output.last_lines());
        tracing::info!("CometBFT stopped ({status})");
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("start")
            .arg("--home")
            .arg(&self.home)
            .arg("--proxy_app")
            .arg(self.app.to_string())
            // They would take precedence over --home.
            .env_remove("CMTHOME")
            .env_remove("TMHOME")
            .env(ENV_PARENT_PIPE, "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt typed at a terminal reaches us alone; we stop the child in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    async fn stop(&self, child: &mut Child) -> anyhow::Result<ExitStatus> {
        let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("stopping CometBFT")?;
        }
        if let Ok(status) = timeout(self.stop_timeout, child.wait()).await {
            return Ok(status?);
        }
        tracing::warn!("CometBFT did not stop within {:?}; killing it", self.stop_timeout);
        child.kill().await.context("killing CometBFT")?;
        Ok(child.wait().await?)
    }
}

/// What an operator has to start where we do not.
pub fn external_hint(home: &Path, app: &Address) -> String {
    format!("waiting for CometBFT {COMETBFT_VERSION} (any 0.38); start it with: cometbft start --home {} --proxy_app {app}", home.display())
}

/// Finds the binary: `given` (`--cometbft`), then `VIRTENGINE_COMETBFT`, then beside our executable, then on `PATH`.
///
/// # Errors
/// There is none, or the one that was named is not an executable file.
pub fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("cometbft")));
    search(given, env::var_os(ENV_BINARY), beside, env::var_os("PATH"))
}

fn search(given: Option<&Path>, variable: Option<OsString>, beside: Option<PathBuf>, path: Option<OsString>) -> anyhow::Result<PathBuf> {
    let named = given.map(|p| ("--cometbft", p.to_path_buf()));
    if let Some((from, path)) = named.or_else(|| Some((ENV_BINARY, PathBuf::from(variable?)))) {
        ensure!(is_executable(&path), "{from}: {} is not an executable file", path.display());
        return Ok(path);
    }
    let on_path = env::split_paths(&path.unwrap_or_default()).map(|dir| dir.join("cometbft")).collect::<Vec<_>>();
    let beside_text = beside.as_ref().map_or("our executable".into(), |p| p.display().to_string());
    beside.into_iter().chain(on_path).find(|p| is_executable(p)).with_context(|| {
        format!(
            "no cometbft found: looked for --cometbft, {ENV_BINARY}, {beside_text} and on PATH.\n\
             In a checkout, ./scripts/localnet.sh start builds it into .cache/bin; by hand, with Go 1.23 or newer:\n  \
             (cd node/cometbft && go build -o DIRECTORY/cometbft .)\n\
             A stock CometBFT 0.38 works too."
        )
    })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn check_home(home: &Path) -> anyhow::Result<()> {
    for file in [config_file(home), genesis_file(home)] {
        ensure!(file.is_file(), "{} is missing: virtengine init --home {} makes a new node's files", file.display(), home.display());
    }
    Ok(())
}

/// Other versions speak another ABCI, or report themselves so that clients misread them.
async fn check_version(binary: &Path) -> anyhow::Result<()> {
    let name = binary.display();
    let output =
        Command::new(binary).arg("version").stdin(Stdio::null()).output().await.with_context(|| format!("running {name} version"))?;
    let version = String::from_utf8_lossy(&output.stdout);
    let version = version.trim().trim_start_matches('v');
    ensure!(
        output.status.success() && version.starts_with("0.38."),
        "{name} is not CometBFT 0.38 (built here: {COMETBFT_VERSION}); it calls itself {version:?}"
    );
    Ok(())
}

/// Fails when a port that CometBFT is going to listen on is taken, and says which and where it is set.
fn check_ports(file: &Path) -> anyhow::Result<()> {
    let config: toml::Table = std::fs::read_to_string(file)
        .map_err(anyhow::Error::from)
        .and_then(|text| Ok(text.parse()?))
        .with_context(|| file.display().to_string())?;
    let prometheus = config.get("instrumentation").and_then(|section| section.get("prometheus")?.as_bool()).unwrap_or(false);
    for (section, key, used) in [
        ("rpc", "laddr", true),
        ("rpc", "grpc_laddr", true),
        ("rpc", "pprof_laddr", true),
        ("p2p", "laddr", true),
        ("instrumentation", "prometheus_listen_addr", prometheus),
    ] {
        let Some(text) = config.get(section).and_then(|s| s.get(key)?.as_str()).filter(|t| used && !t.is_empty()) else {
            continue;
        };
        let address = text.trim_start_matches("tcp://");
        if address.starts_with("unix://") {
            continue;
        }
        // ":26660" means every interface.
        let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.into() };
        let of = || format!("{key} = {text:?} in section [{section}] of {}", file.display());
        let resolved: Vec<_> = address.to_socket_addrs().with_context(of)?.collect();
        if let Err(e) = TcpListener::bind(&resolved[..]) {
            let port = resolved.first().map_or(0, std::net::SocketAddr::port);
            bail!("port {port} cannot be used ({e}): stop what has it, or change {}", of());
        }
    }
    Ok(())
}

/// Where the child's lines go.
#[derive(Clone)]
struct Output {
    file: Option<Arc<Mutex<File>>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    fn new(log: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("log file {}", path.display())).map(|f| Arc::new(Mutex::new(f)))
        };
        Ok(Self { file: log.map(open).transpose()?, last: Arc::default() })
    }

    fn forward(&self, from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let output = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                output.line(String::from_utf8_lossy(&line).trim_end());
            }
        })
    }

    fn line(&self, line: &str) {
        {
            let mut last = self.last.lock();
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line.to_owned());
        }
        let Some(file) = &self.file else {
            return log(line);
        };
        if let Err(e) = writeln!(file.lock(), "{line}") {
            tracing::warn!("CometBFT's log file: {e}");
            log(line);
        }
    }

    fn last_lines(&self) -> String {
        Vec::from(self.last.lock().clone()).join("\n")
    }
}

/// Repeats one line in our log, at its own level: `I[2025-01-31|12:00:00.000] Message module=…`, or JSON.
fn log(line: &str) {
    let (level, text) = match line.split_once("] ") {
        Some((head, text)) if head.get(1..2) == Some("[") => (&head[..1], text),
        _ if line.contains(r#""level":"debug""#) => ("D", line),
        _ if line.contains(r#""level":"error""#) => ("E", line),
        _ => ("I", line),
    };
    match level {
        "D" => tracing::debug!(target: "cometbft", "{text}"),
        "E" => tracing::error!(target: "cometbft", "{text}"),
        _ => tracing::info!(target: "cometbft", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A home, and a script in place of CometBFT that runs `start` when it is started.
    fn scripted(start: &str) -> (tempfile::TempDir, Comet) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        std::fs::write(config_file(dir.path()), "[rpc]\nladdr = \"tcp://127.0.0.1:0\"\n").unwrap();
        std::fs::write(genesis_file(dir.path()), "{}").unwrap();
        let binary =
            executable(&dir.path().join("cometbft"), &format!("#!/bin/sh\nif [ $1 = version ]; then echo 0.38.25; exit; fi\n{start}\n"));
        let home = dir.path().to_path_buf();
        let app = super::super::socket(&home);
        (dir, Comet { binary, home, app, log: None, stop_timeout: Duration::from_secs(5) })
    }

    fn executable(path: &Path, text: &str) -> PathBuf {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_path_buf()
    }

    async fn soon() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    #[tokio::test]
    async fn a_child_that_ends_by_itself_fails_the_node_and_is_quoted() {
        let (_dir, comet) = scripted("echo one; echo two >&2; exit 3");
        let error = comet.run(std::future::pending()).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("one") && error.contains("two"), "{error}");
    }

    #[tokio::test]
    async fn a_child_is_stopped_by_a_signal_and_its_log_kept() {
        let script = "trap 'echo stopped; exit 0' TERM; echo started; while :; do sleep 0.05; done";
        let (dir, mut comet) = scripted(script);
        comet.log = Some(dir.path().join("comet.log"));
        comet.run(soon()).await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("comet.log")).unwrap(), "started\nstopped\n");
    }

    #[tokio::test]
    async fn a_child_that_does_not_stop_is_killed() {
        let (_dir, mut comet) = scripted("trap '' TERM; while :; do sleep 0.05; done");
        comet.stop_timeout = Duration::from_millis(200);
        timeout(Duration::from_secs(5), comet.run(soon())).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_child_gets_its_arguments_and_a_pipe_that_stays_open() {
        let script = "echo $@ $VIRTENGINE_PARENT_PIPE; unset x; read x; echo the pipe closed";
        let (dir, mut comet) = scripted(script);
        comet.log = Some(dir.path().join("comet.log"));
        comet.run(soon()).await.unwrap();
        let log = std::fs::read_to_string(dir.path().join("comet.log")).unwrap();
        assert_eq!(log, format!("start --home {} --proxy_app {} 0\n", dir.path().display(), comet.app));
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named() {
        let (dir, mut comet) = scripted("exit 0");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        std::fs::write(config_file(dir.path()), format!("[p2p]\nladdr = \"tcp://{address}\"\n")).unwrap();
        let error = comet.run(soon()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("port {}", address.port())) && error.contains("section [p2p]"), "{error}");

        comet.binary = executable(&dir.path().join("other"), "#!/bin/sh\necho v1.0.1\n");
        let error = comet.run(soon()).await.unwrap_err().to_string();
        assert!(error.contains("not CometBFT 0.38") && error.contains("1.0.1"), "{error}");

        std::fs::remove_file(genesis_file(dir.path())).unwrap();
        let error = comet.run(soon()).await.unwrap_err().to_string();
        assert!(error.contains("genesis.json is missing: virtengine init"), "{error}");
    }

    #[test]
    fn a_port_that_is_not_used_is_not_checked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[rpc]\nladdr = \"unix:///tmp/rpc.sock\"\ngrpc_laddr = \"\"\n[instrumentation]\nprometheus = false\n\
             prometheus_listen_addr = \"{}\"\n",
            taken.local_addr().unwrap()
        );
        std::fs::write(&file, &text).unwrap();
        check_ports(&file).unwrap();
        std::fs::write(&file, text.replace("false", "true")).unwrap();
        assert!(check_ports(&file).unwrap_err().to_string().contains("prometheus_listen_addr"));
        std::fs::write(&file, "[rpc]\nladdr = \"nonsense\"\n").unwrap();
        assert!(check_ports(&file).unwrap_err().to_string().contains("laddr = \"nonsense\""));
    }

    #[test]
    fn the_binary_is_searched_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for place in ["given", "variable", "beside", "path"] {
            std::fs::create_dir(at(place)).unwrap();
            executable(&at(place).join("cometbft"), "#!/bin/sh\n");
        }
        let cometbft = |place: &str| at(place).join("cometbft");
        let given = cometbft("given");
        let variable = || Some(cometbft("variable").into_os_string());
        let beside = || Some(cometbft("beside"));
        let path = || Some(at("path").into_os_string());
        assert_eq!(search(Some(&given), variable(), beside(), path()).unwrap(), given);
        assert_eq!(search(None, variable(), beside(), path()).unwrap(), cometbft("variable"));
        assert_eq!(search(None, None, beside(), path()).unwrap(), cometbft("beside"));
        assert_eq!(search(None, None, Some(at("nothing")), path()).unwrap(), cometbft("path"));

        let named = search(Some(&at("nothing")), variable(), beside(), path()).unwrap_err().to_string();
        assert!(named.contains("--cometbft") && named.contains("not an executable file"), "{named}");
        let none = search(None, None, Some(at("nothing")), None).unwrap_err().to_string();
        assert!(none.contains("Go 1.23") && none.contains("./scripts/"), "{none}");
    }

    /// An application that accepts everything and keeps nothing.
    #[derive(Clone)]
    struct Idle;

    impl tendermint_abci::Application for Idle {}
    impl crate::abci::Prefetch for Idle {}

    /// Our own CometBFT, from the environment or where the scripts put it, with a home made by its `init` and free
    /// ports. None where it has not been built.
    fn built() -> Option<(tempfile::TempDir, Comet, u16)> {
        let in_checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/bin/cometbft");
        let binary = env::var_os(ENV_BINARY).map_or(in_checkout, PathBuf::from);
        if !is_executable(&binary) {
            println!("skipped: {} has not been built", binary.display());
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_path_buf();
        let init = std::process::Command::new(&binary).arg("init").arg("--home").arg(&home).output().unwrap();
        assert!(init.status.success(), "{init:?}");
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let config = std::fs::read_to_string(config_file(&home)).unwrap();
        let config = config
            .replace("127.0.0.1:26657", &format!("127.0.0.1:{}", ports[0]))
            .replace("0.0.0.0:26656", &format!("127.0.0.1:{}", ports[1]));
        std::fs::write(config_file(&home), config).unwrap();
        let log = Some(home.join("comet.log"));
        let app = super::super::socket(&home);
        Some((dir, Comet { binary, home, app, log, stop_timeout: STOP_TIMEOUT }, ports[0]))
    }

    async fn until_a_block(comet: &Comet) {
        let log = comet.log.clone().unwrap();
        for _ in 0..600 {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.contains("finalized block") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no block within 30 s: {}", std::fs::read_to_string(log).unwrap());
    }

    #[tokio::test]
    async fn our_cometbft_commits_blocks_and_stops_in_order() {
        let Some((_dir, comet, port)) = built() else { return };
        let server = crate::abci::Server::start(&comet.app, Idle).unwrap();
        comet.run(until_a_block(&comet)).await.unwrap();
        TcpListener::bind(("127.0.0.1", port)).unwrap();
        server.stop();
    }

    #[tokio::test]
    async fn our_cometbft_fails_when_the_application_is_lost() {
        let Some((_dir, comet, _)) = built() else { return };
        let server = crate::abci::Server::start(&comet.app, Idle).unwrap();
        let watched = comet.clone();
        let lose = tokio::spawn(async move {
            until_a_block(&watched).await;
            tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
        });
        let error = comet.run(std::future::pending()).await.unwrap_err().to_string();
        lose.await.unwrap();
        assert!(error.contains("exit status: 1"), "{error}");
        let log = std::fs::read_to_string(comet.log.unwrap()).unwrap();
        assert!(log.contains("lost the application at unix://"), "{log}");
    }

    #[tokio::test]
    async fn our_cometbft_does_not_outlive_a_killed_node() {
        const NODE: &str = "COMET_TEST_NODE";
        if let Some(home) = env::var_os(NODE) {
            let home = PathBuf::from(home);
            let app = super::super::socket(&home);
            let _server = crate::abci::Server::start(&app, Idle).unwrap();
            let binary = PathBuf::from(env::var_os(ENV_BINARY).unwrap());
            let log = Some(home.join("comet.log"));
            let comet = Comet { binary, home, app, log, stop_timeout: STOP_TIMEOUT };
            return comet.run(std::future::pending()).await.unwrap();
        }
        let Some((_dir, comet, port)) = built() else { return };
        let test = "engine::comet::tests::our_cometbft_does_not_outlive_a_killed_node";
        let mut node = std::process::Command::new(env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(NODE, &comet.home)
            .env(ENV_BINARY, &comet.binary)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until_a_block(&comet).await;
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
        node.kill().unwrap();
        node.wait().unwrap();
        for _ in 0..60 {
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("CometBFT still has its port after 3 s: {}", std::fs::read_to_string(comet.log.unwrap()).unwrap());
    }
}
