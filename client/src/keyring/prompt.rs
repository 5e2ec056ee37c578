//! Where passphrases and mnemonics come from: a terminal without echo, or lines of standard input.
//!
//! Prompts go to standard error; standard output belongs to results.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("input ended at the prompt {0:?}: expected one more line there")]
    Ended(String),
    #[error("cannot read the answer to {prompt:?}: {source}")]
    Io { prompt: String, source: io::Error },
}

/// Asks the user. Each question consumes one line where answers are piped in.
pub trait Prompt: Send + Sync {
    /// Asks for a secret, which a terminal does not echo.
    ///
    /// # Errors
    /// No answer: the input ended or cannot be read.
    fn secret(&self, text: &str) -> Result<Zeroizing<String>, PromptError>;

    /// Asks for a line that may be shown while it is typed, such as a mnemonic.
    ///
    /// # Errors
    /// As [`Prompt::secret`].
    fn line(&self, text: &str) -> Result<Zeroizing<String>, PromptError>;

    /// Tells the user something between two questions, such as `incorrect passphrase`.
    fn notice(&self, text: &str);

    /// Asks a question; only an answer that begins with `y` or `Y` is a yes.
    ///
    /// # Errors
    /// As [`Prompt::secret`].
    fn confirm(&self, text: &str) -> Result<bool, PromptError> {
        Ok(self.line(&format!("{text} [y/N]:"))?.to_ascii_lowercase().starts_with('y'))
    }
}

/// The prompt of a command: the terminal when standard input is one, else the lines of standard input.
pub fn console() -> Arc<dyn Prompt> {
    if io::stdin().is_terminal() {
        Arc::new(TerminalPrompt)
    } else {
        Arc::new(LinePrompt::new(|line| io::stdin().read_line(line), io::stderr()))
    }
}

/// A person at a terminal.
pub struct TerminalPrompt;

impl TerminalPrompt {
    fn ask(text: &str, read: impl FnOnce() -> io::Result<String>) -> Result<Zeroizing<String>, PromptError> {
        let error = |source| PromptError::Io { prompt: text.into(), source };
        let mut err = io::stderr();
        write!(err, "{text} ").and_then(|()| err.flush()).map_err(error)?;
        match read() {
            Ok(answer) => Ok(Zeroizing::new(answer)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(PromptError::Ended(text.into())),
            Err(e) => Err(error(e)),
        }
    }
}

impl Prompt for TerminalPrompt {
    fn secret(&self, text: &str) -> Result<Zeroizing<String>, PromptError> {
        Self::ask(text, rpassword::read_password)
    }

    fn line(&self, text: &str) -> Result<Zeroizing<String>, PromptError> {
        Self::ask(text, || {
            let mut line = String::new();
            match io::stdin().read_line(&mut line)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(trimmed(line)),
            }
        })
    }

    fn notice(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

type ReadLine = Box<dyn FnMut(&mut String) -> io::Result<usize> + Send>;

/// Answers from lines, one per question; white space around them is dropped, as Go's Cosmos binaries do.
pub struct LinePrompt {
    input: Mutex<ReadLine>,
    output: Mutex<Box<dyn Write + Send>>,
}

impl LinePrompt {
    /// `read_line` appends a line to its argument and returns how many bytes it read, 0 at the end. Prompts go to `output`.
    pub fn new(read_line: impl FnMut(&mut String) -> io::Result<usize> + Send + 'static, output: impl Write + Send + 'static) -> Self {
        Self { input: Mutex::new(Box::new(read_line)), output: Mutex::new(Box::new(output)) }
    }

    /// Answers from `input`, such as a passphrase file; prompts are not shown.
    pub fn from_reader(mut input: impl BufRead + Send + 'static) -> Self {
        Self::new(move |line| input.read_line(line), io::sink())
    }
}

impl Prompt for LinePrompt {
    fn secret(&self, text: &str) -> Result<Zeroizing<String>, PromptError> {
        self.notice(text);
        let mut line = String::new();
        let mut read = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&mut line) {
            Ok(0) => Err(PromptError::Ended(text.into())),
            Ok(_) => Ok(Zeroizing::new(trimmed(line))),
            Err(source) => Err(PromptError::Io { prompt: text.into(), source }),
        }
    }

    fn line(&self, text: &str) -> Result<Zeroizing<String>, PromptError> {
        self.secret(text)
    }

    fn notice(&self, text: &str) {
        let _ = writeln!(self.output.lock().unwrap_or_else(PoisonError::into_inner), "{text}");
    }
}

fn trimmed(mut line: String) -> String {
    let answer = line.trim().to_string();
    line.zeroize();
    answer
}
