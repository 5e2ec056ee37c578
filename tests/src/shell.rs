//! A person at a terminal: an interactive bash on a pseudo-terminal that is typed into line by line. Its standard output
//! goes to a file, so that what a command prints there can be told from prompts and messages.

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any command of a guide takes.
const PATIENCE: Duration = Duration::from_secs(120);
const PROMPT: &str = "@ready ";
const MORE: &str = "@more ";

/// What one command did.
#[derive(Debug, Clone)]
pub struct Typed {
    pub command: String,
    pub code: i32,
    pub stdout: String,
    /// Prompts, messages and the echo of what was typed.
    pub terminal: String,
    /// How many passphrases it asked for.
    pub asked: usize,
}

pub struct Shell {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    output: File,
    passphrase: String,
}

impl Shell {
    /// A shell in `home` with these variables set. Every passphrase that a command asks for is answered with `passphrase`.
    pub fn open(home: &Path, env: &[(&str, &str)], passphrase: &str) -> Shell {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&controller).expect("grantpt");
        unlockpt(&controller).expect("unlockpt");
        let name = ptsname(&controller, Vec::new()).expect("ptsname");
        let terminal = || open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other side");
        std::fs::write(home.join(".bashrc"), format!("PS1='@$?{PROMPT}' PS2='{MORE}' HISTFILE=\n")).expect("a file");
        let path = home.join(".standard-output");
        let output = File::options().read(true).write(true).create(true).truncate(true).open(&path).expect("a file for standard output");
        // --ctty makes the terminal the controlling one, as a login does.
        let child = Command::new("setsid")
            .args(["--ctty", "bash", "-i"])
            .current_dir(home)
            .envs(env.iter().copied())
            .env("HOME", home)
            .env("TERM", "dumb")
            .stdin(terminal())
            .stdout(File::options().append(true).open(&path).expect("the same file"))
            .stderr(terminal())
            .spawn()
            .expect("setsid and bash");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let keyboard = File::from(controller);
        let (mut reader, shown) = (keyboard.try_clone().expect("a second handle"), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the end: the terminal is gone with the last process on it.
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                shown.lock().expect("no panic while it is held").extend_from_slice(&buffer[..n]);
            }
        });
        let mut shell = Shell { child, keyboard, screen, output, passphrase: passphrase.into() };
        shell.wait(0);
        shell
    }

    /// Types a command and waits until the shell is ready again.
    pub fn run(&mut self, command: &str) -> Typed {
        let start = self.screen().len();
        let printed = self.output.seek(SeekFrom::End(0)).expect("a file");
        let mut asked = 0;
        let mut end = String::new();
        for line in command.lines() {
            let from = self.screen().len();
            writeln!(self.keyboard, "{line}").expect("a terminal");
            let (answered, shown) = self.wait(from);
            asked += answered;
            end = shown;
        }
        let code = end.strip_suffix(PROMPT).and_then(|t| t.rsplit('@').next()?.parse().ok());
        let code = code.unwrap_or_else(|| panic!("{command}\nis not a whole command: {end}"));
        self.output.seek(SeekFrom::Start(printed)).expect("a file");
        let mut stdout = String::new();
        self.output.read_to_string(&mut stdout).expect("text");
        let terminal = String::from_utf8_lossy(&self.screen()[start..]).into_owned();
        Typed { command: command.into(), code, stdout, terminal, asked }
    }

    fn screen(&self) -> Vec<u8> {
        self.screen.lock().expect("no panic while it is held").clone()
    }

    /// Waits for a prompt of the shell and answers those of the keyring; returns how many, and what was shown.
    fn wait(&mut self, mut from: usize) -> (usize, String) {
        let begin = from;
        let since = Instant::now();
        let mut asked = 0;
        loop {
            let shown = self.screen();
            let text = String::from_utf8_lossy(&shown[from..]).into_owned();
            if text.ends_with(PROMPT) || text.ends_with(MORE) {
                return (asked, String::from_utf8_lossy(&shown[begin..]).into_owned());
            }
            let last = text.rsplit('\n').next().unwrap_or_default();
            if last.to_lowercase().contains("passphrase") && last.trim_end().ends_with(':') {
                from = shown.len();
                asked += 1;
                writeln!(self.keyboard, "{}", self.passphrase).expect("a terminal");
            }
            assert!(since.elapsed() < PATIENCE, "no prompt within {PATIENCE:?}; the terminal shows:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_as_from_a_person() {
        let home = std::env::temp_dir().join("virtengine-e2e-shell");
        std::fs::create_dir_all(&home).expect("a folder");
        let mut shell = Shell::open(&home, &[("COLOUR", "green")], "secret words");
        let typed = shell.run("echo \"$COLOUR!\" \\\n  and more; echo aside >&2");
        assert_eq!((typed.code, typed.stdout.as_str(), typed.asked), (0, "green! and more\n", 0));
        assert!(typed.terminal.contains("aside"));
        assert_eq!(shell.run("cat << 'EOF'\n$COLOUR\nEOF").stdout, "$COLOUR\n");
        let typed = shell.run("X=$(read -rsp 'Enter passphrase: ' p; read -rsp 'Re-enter passphrase: ' q; echo $p, $q)");
        assert_eq!((typed.code, typed.stdout.as_str(), typed.asked), (0, "", 2));
        assert_eq!(shell.run("echo $X; false").code, 1);
        assert_eq!(shell.run("bash -i").code, 0);
        assert_eq!(shell.run("echo $X in").stdout, "in\n");
        shell.run("exit");
        assert_eq!(shell.run("echo $X out").stdout, "secret words, secret words out\n");
    }
}
