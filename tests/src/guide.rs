//! Reading commands out of a guide: its fenced blocks, and the commands in them.

/// A fenced block of commands.
#[derive(Debug, Clone)]
pub struct Block {
    /// The nearest headings above, outermost first.
    pub headings: Vec<String>,
    /// What follows `bash` on the opening fence: `lab=NAME` for what the test types.
    pub info: String,
    pub text: String,
}

/// All blocks of a Markdown text whose language is bash.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut headings): (Vec<Block>, Vec<String>) = Default::default();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: String = lines.by_ref().take_while(|l| !l.starts_with("```")).map(|l| format!("{l}\n")).collect();
            if let Some(info) = info.strip_prefix("bash") {
                blocks.push(Block { headings: headings.clone(), info: info.trim().into(), text });
            }
        } else if line.starts_with('#') {
            let level = line.bytes().take_while(|b| *b == b'#').count();
            headings.truncate(level - 1);
            headings.resize(level - 1, String::new());
            headings.push(line[level..].trim().into());
        }
    }
    blocks
}

/// The commands of a block, as a shell reads them: a continued line and a here-document belong to their command.
/// Comments and empty lines are left out.
pub fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut command = line.to_string();
        while command.ends_with('\\') {
            command += "\n";
            command += lines.next().expect("a line after a backslash");
        }
        if let Some((_, word)) = command.split_once("<< ") {
            let end = word.split_whitespace().next().expect("a word after <<").trim_matches('\'').to_string();
            loop {
                let line = lines.next().expect("an end of the here-document");
                command = format!("{command}\n{line}");
                if line == end {
                    break;
                }
            }
        }
        commands.push(command);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_split_into_commands_as_a_shell_reads_it() {
        let text = "# A\n## B\n```bash lab=x\n# no\na \\\n  b\n\ncat > f << 'EOF'\n# yes\nEOF\nc\n```\n```json\n{}\n```\n";
        let found = blocks(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].headings.as_slice(), found[0].info.as_str()), (&["A".to_string(), "B".to_string()][..], "lab=x"));
        assert_eq!(commands(&found[0].text), ["a \\\n  b", "cat > f << 'EOF'\n# yes\nEOF", "c"]);
    }
}
