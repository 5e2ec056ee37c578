//! `virtengine keys`.

use super::context::{Context, Output, say, tell};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use client::address::Prefix;
use client::keyring::{AccountKey, KeyOutput, Record, RecordType, to_yaml};
use client::keys::{HdPath, Mnemonic, SecretKey};
use std::path::PathBuf;

/// Cosmos' coin type in BIP-44 paths.
const COIN_TYPE: u32 = 118;

#[derive(Subcommand)]
pub enum Keys {
    /// Make a key, or recover one from its mnemonic
    Add(Add),
    /// All keys
    List {
        /// Names alone
        #[arg(long, short)]
        list_names: bool,
    },
    /// One key, by name or address
    Show(Show),
    /// Remove keys
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give a key another name
    Rename {
        name: String,
        new_name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// A key as ASCII armour, encrypted under a pass-phrase
    Export {
        name: String,
        /// The bare private key in hex; needs --unsafe
        #[arg(long, requires = "unprotected")]
        unarmored_hex: bool,
        /// Yes, bare: whoever sees it owns the account
        #[arg(id = "unprotected", long = "unsafe", requires = "unarmored_hex")]
        unprotected: bool,
        /// Do not ask
        #[arg(long, short, requires = "unarmored_hex")]
        yes: bool,
    },
    /// Add a key from ASCII armour
    Import { name: String, file: PathBuf },
    /// A new mnemonic
    Mnemonic,
    /// Both forms of an address: bech32 and hex
    Parse { address: String },
}

#[derive(Args)]
pub struct Add {
    name: String,
    /// Ask for the mnemonic of an existing key
    #[arg(long)]
    recover: bool,
    /// Read the mnemonic from a file
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// Do not print the mnemonic
    #[arg(long)]
    no_backup: bool,
    /// Account number of the HD path
    #[arg(long, default_value_t = 0)]
    account: u32,
    /// Address index of the HD path
    #[arg(long, default_value_t = 0)]
    index: u32,
    /// The whole HD path [default: m/44'/118'/ACCOUNT'/0/INDEX]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["account", "index"])]
    hd_path: Option<HdPath>,
    /// Show the key and keep nothing
    #[arg(long, conflicts_with_all = ["multisig", "pubkey"])]
    dry_run: bool,
    /// Add a public key alone, as keys show --pubkey prints it: a co-signer's, or a multisig key of others
    #[arg(long, value_name = "JSON", conflicts_with_all = ["recover", "source", "multisig"])]
    pubkey: Option<String>,
    /// Not supported yet
    #[arg(long)]
    ledger: bool,
    /// Make a multisig key of these keys of the keyring, with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["recover", "source"])]
    multisig: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "K", default_value_t = 1)]
    multisig_threshold: u32,
    /// Keep the order of --multisig instead of that of the addresses
    #[arg(long)]
    nosort: bool,
}

#[derive(Args)]
pub struct Show {
    name: String,
    /// The address alone
    #[arg(long, short, conflicts_with = "pubkey")]
    address: bool,
    /// The public key alone, as JSON on one line
    #[arg(long, short)]
    pubkey: bool,
    /// The prefix of the address: acc, val or cons
    #[arg(long, default_value = "acc", value_parser = parse_prefix)]
    bech: Prefix,
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    match text {
        "acc" => Ok(Prefix::Account),
        "val" => Ok(Prefix::Operator),
        "cons" => Ok(Prefix::Consensus),
        _ => Err("expected acc, val or cons".into()),
    }
}

fn print(context: &Context, keys: Vec<KeyOutput>) {
    match context.output {
        Output::Text => say(to_yaml(&keys)),
        Output::Json => say(serde_json::to_string(&keys).expect("strings")),
    }
}

fn print_one(context: &Context, key: KeyOutput) {
    match context.output {
        Output::Text => say(to_yaml(&[key])),
        Output::Json => say(key.to_json()),
    }
}

impl Keys {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let prompt = &context.prompt;
        match self {
            Keys::Add(add) => add.run(context)?,
            Keys::List { list_names } => {
                let records = context.keyring()?.list()?;
                if list_names {
                    records.iter().for_each(|r| say(&r.name));
                } else {
                    print(context, records.iter().map(|r| r.output(Prefix::Account)).collect());
                }
            }
            Keys::Show(show) => {
                let record = context.keyring()?.get(&show.name)?;
                if show.address {
                    say(record.address().to_bech32(show.bech));
                } else if show.pubkey {
                    say(record.public_key.to_json());
                } else {
                    print_one(context, record.output(show.bech));
                }
            }
            Keys::Delete { names, yes } => {
                let keyring = context.keyring()?;
                for name in names {
                    keyring.get(&name)?;
                    if !yes && !prompt.confirm(&format!("Key {name} will be deleted; without its mnemonic it is lost. Continue?"))? {
                        bail!("key {name} was kept");
                    }
                    keyring.delete(&name)?;
                    context.hint(format_args!("key {name} is deleted"));
                }
            }
            Keys::Rename { name, new_name, yes } => {
                if !yes && !prompt.confirm(&format!("Key {name} will be renamed to {new_name}. Continue?"))? {
                    bail!("key {name} was kept");
                }
                context.keyring()?.rename(&name, &new_name)?;
                context.hint(format_args!("key {name} is now {new_name}"));
            }
            Keys::Export { name, unarmored_hex: true, yes, .. } => {
                let warning = "The private key will be shown bare: whoever sees it owns the account. Continue?";
                if !yes && !prompt.confirm(warning)? {
                    bail!("key {name} was not exported");
                }
                say(context.keyring()?.export_hex(&name)?.as_str());
            }
            Keys::Export { name, .. } => {
                let keyring = context.keyring()?;
                keyring.get(&name)?;
                let passphrase = prompt.secret("Enter passphrase to encrypt the exported key:")?;
                say(keyring.export_armored(&name, &passphrase)?);
            }
            Keys::Import { name, file } => {
                let armor = super::context::read(&file)?;
                let keyring = context.keyring()?;
                let passphrase = prompt.secret("Enter passphrase to decrypt your key:")?;
                keyring.import_armored(&name, &armor, &passphrase)?;
                context.hint(format_args!("key {name} is imported"));
            }
            Keys::Mnemonic => say(Mnemonic::generate().phrase().as_str()),
            Keys::Parse { address } => parse(context, &address)?,
        }
        Ok(())
    }
}

impl Add {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        if self.ledger {
            bail!("--ledger: hardware keys are not supported yet");
        }
        if !self.multisig.is_empty() {
            let record = context.keyring()?.add_multisig(&self.name, self.multisig_threshold, &self.multisig, !self.nosort)?;
            print_one(context, record.output(Prefix::Account));
            return Ok(());
        }
        if let Some(json) = &self.pubkey {
            print_one(context, context.keyring()?.add_offline(&self.name, json).context("--pubkey")?.output(Prefix::Account));
            return Ok(());
        }
        let mnemonic = match (&self.source, self.recover) {
            (Some(file), _) => Some(Mnemonic::parse(super::context::read(file)?.trim())?),
            (None, true) => Some(Mnemonic::parse(context.prompt.line("Enter your bip39 mnemonic")?.trim())?),
            (None, false) => None,
        };
        let new = mnemonic.is_none();
        let path = self.hd_path.map_or_else(|| HdPath::bip44(COIN_TYPE, self.account, self.index), Ok)?;
        let (record, mnemonic) = if self.dry_run {
            let mnemonic = mnemonic.unwrap_or_else(Mnemonic::generate);
            let public_key = AccountKey::Single(SecretKey::derive(&mnemonic, &path)?.public_key());
            (Record { name: self.name, record_type: RecordType::Local, public_key }, mnemonic)
        } else {
            context.keyring()?.add(&self.name, mnemonic, &path)?
        };
        let mut output = record.output(Prefix::Account);
        let show = new && !self.no_backup;
        if context.output == Output::Json {
            if show {
                output.mnemonic = Some(mnemonic.phrase().to_string());
            }
            say(output.to_json());
            return Ok(());
        }
        say(to_yaml(&[output]));
        if show {
            tell("\n**Important** write this mnemonic phrase in a safe place.");
            tell("It is the only way to recover your account if you ever forget your password.\n");
            tell(mnemonic.phrase().as_str());
        }
        Ok(())
    }
}

fn parse(context: &Context, text: &str) -> anyhow::Result<()> {
    use client::address::{Address, decode};
    let raw = match hex::decode(text) {
        Ok(raw) => raw,
        Err(_) => decode(text).map_err(anyhow::Error::msg).with_context(|| format!("{text:?}: expected hex or bech32"))?.1,
    };
    let address = Address::new(&raw)?;
    let forms: Vec<String> = [Prefix::Account, Prefix::Operator, Prefix::Consensus].iter().map(|p| address.to_bech32(*p)).collect();
    context.print(&serde_json::json!({ "bytes": hex::encode_upper(&raw), "formats": forms }));
    Ok(())
}
