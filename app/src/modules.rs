//! The modules in one order, each below its callers.

use crate::consensus::Consensus;
use auth::Auth;
use authz::Authz;
use bank::Bank;
use deployment::Deployments;
use encryption::Encryption;
use escrow::Escrow;
use feegrant::Feegrant;
use kernel::{Error, Module, Registry, View};
use market::Market;
use provider::Providers;
use staking::Staking;
use std::sync::Arc;

pub struct Modules {
    pub auth: Arc<Auth>,
    pub bank: Arc<Bank>,
    pub staking: Arc<Staking>,
    pub escrow: Arc<Escrow>,
    pub provider: Arc<Providers>,
    pub encryption: Arc<Encryption>,
    pub deployment: Arc<Deployments>,
    pub market: Arc<Market>,
    pub consensus: Arc<Consensus>,
    pub feegrant: Arc<Feegrant>,
    pub authz: Arc<Authz>,
    /// Store ids and names, as claimed.
    pub stores: Vec<(u8, &'static str)>,
}

impl Default for Modules {
    fn default() -> Self {
        Self::new()
    }
}

impl Modules {
    #[allow(clippy::disallowed_methods)] // the one place that hands out namespaces
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let auth = Arc::new(Auth::new(registry.claim("acc", 1)));
        let bank = Arc::new(Bank::new(registry.claim("bank", 2), auth.clone()));
        let staking = Arc::new(Staking::new(registry.claim("staking", 3), auth.clone(), bank.clone()));
        let escrow = Arc::new(Escrow::new(registry.claim("escrow", 4), bank.clone(), auth.clone()));
        let provider = Arc::new(Providers::new(registry.claim("provider", 5), escrow.clone()));
        let encryption = Arc::new(Encryption::new(registry.claim("encryption", 6)));
        let deployment = Arc::new(Deployments::new(registry.claim("deployment", 7), escrow.clone()));
        let market =
            Arc::new(Market::new(registry.claim("market", 8), deployment.clone(), provider.clone(), escrow.clone(), encryption.clone()));
        let consensus = Arc::new(Consensus::new(registry.claim("consensus", 9)));
        let feegrant = Arc::new(Feegrant::new(registry.claim("feegrant", 10), auth.clone()));
        let authz = Arc::new(Authz::new(registry.claim("authz", 11), auth.clone(), crate::msg::is_message));
        let stores = registry.stores().iter().map(|(name, id)| (*id, *name)).collect();
        Modules { auth, bank, staking, escrow, provider, encryption, deployment, market, consensus, feegrant, authz, stores }
    }

    /// The order of genesis and of every hook.
    pub fn ordered(&self) -> [Arc<dyn Module>; 10] {
        [
            self.auth.clone(),
            self.bank.clone(),
            self.staking.clone(),
            self.escrow.clone(),
            self.provider.clone(),
            self.encryption.clone(),
            self.deployment.clone(),
            self.market.clone(),
            self.feegrant.clone(),
            self.authz.clone(),
        ]
    }

    /// Every invariant that does not hold, with its module's name.
    pub fn broken(&self, view: &View) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for module in self.ordered() {
            all.extend(module.broken(view)?.into_iter().map(|line| format!("{}: {line}", module.name())));
        }
        Ok(all)
    }
}
