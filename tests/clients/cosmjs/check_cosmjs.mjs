// CosmJS as published: what web wallets and scripts are made of.

import assert from "node:assert/strict";
import { Secp256k1HdWallet, createMultisigThresholdPubkey, pubkeyToAddress } from "@cosmjs/amino";
import { ics23, verifyMembership } from "@confio/ics23";
import { fromBech32, fromUtf8, toHex, toUtf8 } from "@cosmjs/encoding";
import { DirectSecp256k1HdWallet } from "@cosmjs/proto-signing";
import {
  BroadcastTxError, GasPrice, SigningStargateClient, StargateClient, assertIsDeliverTxFailure, assertIsDeliverTxSuccess, coin, coins,
  makeMultisignedTxBytes,
} from "@cosmjs/stargate";
import { connectComet } from "@cosmjs/tendermint-rpc";
import { GenericAuthorization } from "cosmjs-types/cosmos/authz/v1beta1/authz";
import { MsgSend } from "cosmjs-types/cosmos/bank/v1beta1/tx";
import { BasicAllowance } from "cosmjs-types/cosmos/feegrant/v1beta1/feegrant";
import { TxRaw } from "cosmjs-types/cosmos/tx/v1beta1/tx";
import { check, env } from "./check.mjs";

const rpc = env("VE_RPC");
const mnemonic = env("VE_MNEMONIC");
const chainId = env("VE_CHAIN_ID");
const prefix = "virtengine";
const gasPrice = GasPrice.fromString("0.025uve");

const direct = await DirectSecp256k1HdWallet.fromMnemonic(mnemonic, { prefix });
const amino = await Secp256k1HdWallet.fromMnemonic(mnemonic, { prefix });
const [{ address }] = await direct.getAccounts();
// A fresh account for every run.
const fresh = () => DirectSecp256k1HdWallet.generate(12, { prefix });
const freshAddress = async () => (await (await fresh()).getAccounts())[0].address;

const client = await StargateClient.connect(rpc);
const directClient = await SigningStargateClient.connectWithSigner(rpc, direct, { gasPrice });
const aminoClient = await SigningStargateClient.connectWithSigner(rpc, amino, { gasPrice });

await check("connects, and reads chain id and height", async () => {
  assert.equal(await client.getChainId(), chainId);
  assert.ok((await client.getHeight()) > 0);
  const block = await client.getBlock();
  assert.equal(block.header.chainId, chainId);
});

await check("reads an account with its number and key", async () => {
  const account = await client.getAccount(address);
  assert.equal(account.address, address);
  assert.ok(account.accountNumber > 0);
  assert.deepEqual(await client.getSequence(address), { accountNumber: account.accountNumber, sequence: account.sequence });
});

await check("a missing account is null, not an error", async () => {
  assert.equal(await client.getAccount(await freshAddress()), null);
});

await check("reads balances, also those of an empty account", async () => {
  const all = await client.getAllBalances(address);
  assert.deepEqual(all.map((c) => c.denom), ["uve"]);
  const one = await client.getBalance(address, "uve");
  assert.equal(one.amount, all[0].amount);
  assert.deepEqual(await client.getBalance(await freshAddress(), "uve"), coin(0, "uve"));
  assert.equal(await client.getBalanceStaked(address), null);
});

// Sends with estimated gas; returns the result.
async function send(signing, memo) {
  const to = await freshAddress();
  const result = await signing.sendTokens(address, to, coins(1234, "uve"), "auto", memo);
  assertIsDeliverTxSuccess(result);
  assert.ok(result.gasUsed > 0n && result.gasUsed <= result.gasWanted);
  assert.equal((await client.getBalance(to, "uve")).amount, "1234");
  const response = result.msgResponses;
  assert.equal(response[0].typeUrl, "/cosmos.bank.v1beta1.MsgSendResponse");
  return { ...result, to };
}

// Asks until there is an answer.
async function eventually(what, ask) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await new Promise((r) => setTimeout(r, 200))) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`waited in vain for ${what}`);
}

let sent;
await check("sends with SIGN_MODE_DIRECT and estimated gas", async () => {
  sent = await send(directClient, "from CosmJS");
});

await check("sends with SIGN_MODE_LEGACY_AMINO_JSON and estimated gas", async () => {
  await send(aminoClient, 'amino & <memo> "quoted" ö');
});

await check("finds a transaction by hash", async () => {
  const found = await client.getTx(sent.transactionHash);
  assert.equal(found.height, sent.height);
  assert.equal(found.code, 0);
  assert.equal(found.rawLog, "");
  assert.equal(await client.getTx("00".repeat(32)), null);
});

await check("searches transactions by sender, recipient, several conditions and height", async () => {
  const hashes = async (query) => (await client.searchTx(query)).map((t) => t.hash);
  assert.deepEqual(await hashes([{ key: "transfer.recipient", value: sent.to }]), [sent.transactionHash]);
  assert.deepEqual(
    await hashes([{ key: "transfer.recipient", value: sent.to }, { key: "transfer.sender", value: address }]), [sent.transactionHash]);
  assert.ok((await hashes(`message.sender='${address}'`)).includes(sent.transactionHash));
  assert.ok((await hashes(`tx.height=${sent.height}`)).includes(sent.transactionHash));
  assert.deepEqual(await hashes(`message.sender='${sent.to}'`), []);
});

await check("events of a message carry its index, those of the fee do not", async () => {
  const { events } = await client.getTx(sent.transactionHash);
  const index = (e) => e.attributes.find((a) => a.key === "msg_index")?.value;
  const transfers = events.filter((e) => e.type === "transfer");
  assert.deepEqual(transfers.map(index), [undefined, "0"]);
  assert.deepEqual(events.map((e) => e.type), [
    "coin_spent", "coin_received", "transfer", "message", "tx", "tx", "tx", "message", "coin_spent", "coin_received", "transfer", "message"]);
});

await check("a transfer of more than there is fails in the block with code 5", async () => {
  const [{ amount }] = await client.getAllBalances(address);
  const fee = { amount: coins(5000, "uve"), gas: "200000" };
  const result = await directClient.sendTokens(address, await freshAddress(), coins(amount, "uve"), fee);
  assertIsDeliverTxFailure(result);
  assert.equal(result.code, 5);
  assert.match(result.rawLog, /^failed to execute message; message index: 0: spendable balance \d+uve is smaller than \d+uve: insufficient funds$/);
});

// Signs a transfer with a sequence of our choice.
async function signed(signing, sequence, fee = { amount: coins(5000, "uve"), gas: "200000" }, memo = "") {
  const { accountNumber } = await client.getSequence(address);
  const msg = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: address, toAddress: address, amount: coins(1, "uve") } };
  const tx = await signing.sign(address, [msg], fee, memo, { accountNumber, sequence, chainId });
  return TxRaw.encode(tx).finish();
}

// A broadcast that the mempool refuses.
async function refused(bytes, code, text) {
  await assert.rejects(client.broadcastTxSync(bytes), (e) => {
    assert.ok(e instanceof BroadcastTxError, e);
    assert.deepEqual([e.codespace, e.code], ["sdk", code], e.log);
    assert.match(e.log, text);
    return true;
  });
}

await check("a wrong sequence, a long memo and a low fee are refused with the codes that wallets know", async () => {
  const { sequence } = await client.getSequence(address);
  const late = sequence + 50;
  await refused(await signed(directClient, late), 32,
    new RegExp(`^account sequence mismatch, expected ${sequence}, got ${late}: incorrect account sequence$`));
  await refused(await signed(directClient, sequence, undefined, "x".repeat(257)), 12,
    /^maximum number of characters is 256 but received 257 characters: memo too large$/);
  await refused(await signed(directClient, sequence, { amount: [], gas: "200000" }), 13, /^insufficient fees; got: {2}required: 5000uve: insufficient fee$/);
});

await check("ten transactions of one account in flight are all included, in both sign modes", async () => {
  const { sequence } = await client.getSequence(address);
  const hashes = [];
  for (let i = 0; i < 10; i++) {
    hashes.push(await client.broadcastTxSync(await signed(i % 2 ? aminoClient : directClient, sequence + i)));
  }
  for (const hash of hashes) {
    const found = await eventually(`a block with ${hash}`, () => client.getTx(hash));
    assert.equal(found.code, 0, found.rawLog);
  }
});

await check("two of three members of a multisig key send from its account", async () => {
  const members = [];
  for (let i = 0; i < 3; i++) {
    const wallet = await Secp256k1HdWallet.generate(12, { prefix });
    const [{ address, pubkey }] = await wallet.getAccounts();
    members.push({ wallet, address, key: { type: "tendermint/PubKeySecp256k1", value: Buffer.from(pubkey).toString("base64") } });
  }
  const key = createMultisigThresholdPubkey(members.map((m) => m.key), 2);
  const multisig = pubkeyToAddress(key, prefix);
  assertIsDeliverTxSuccess(await directClient.sendTokens(address, multisig, coins(1_000_000, "uve"), "auto"));
  const { accountNumber, sequence } = await client.getSequence(multisig);
  const to = await freshAddress();
  const msg = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: multisig, toAddress: to, amount: coins(777, "uve") } };
  const fee = { amount: coins(10_000, "uve"), gas: "300000" };
  const signatures = new Map();
  let body;
  // The first and the last member, so that the bits of who signed matter.
  for (const m of [members[0], members[2]]) {
    const signer = await SigningStargateClient.offline(m.wallet);
    const { bodyBytes, signatures: [signature] } = await signer.sign(m.address, [msg], fee, "", { accountNumber, sequence, chainId });
    signatures.set(m.address, signature);
    body = bodyBytes;
  }
  const bytes = makeMultisignedTxBytes(key, sequence, fee, body, signatures);
  const result = await client.broadcastTx(bytes);
  assertIsDeliverTxSuccess(result);
  assert.equal((await client.getBalance(to, "uve")).amount, "777");
  const account = await client.getAccount(multisig);
  assert.deepEqual(account.pubkey, key);
  // One signature is less than the threshold.
  signatures.delete(members[0].address);
  await refused(makeMultisignedTxBytes(key, sequence + 1, fee, body, signatures), 4, /unauthorized/);
});

await check("a fee grant pays for an account that has nothing but what it sends", async () => {
  const wallet = await fresh();
  const [{ address: grantee }] = await wallet.getAccounts();
  const grant = {
    typeUrl: "/cosmos.feegrant.v1beta1.MsgGrantAllowance",
    value: {
      granter: address, grantee,
      allowance: { typeUrl: "/cosmos.feegrant.v1beta1.BasicAllowance", value: BasicAllowance.encode({ spendLimit: coins(100_000, "uve") }).finish() },
    },
  };
  const fund = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: address, toAddress: grantee, amount: coins(10, "uve") } };
  assertIsDeliverTxSuccess(await directClient.signAndBroadcast(address, [fund, grant], "auto"));
  const poor = await SigningStargateClient.connectWithSigner(rpc, wallet, { gasPrice });
  const to = await freshAddress();
  const fee = { amount: coins(5000, "uve"), gas: "200000", granter: address };
  assertIsDeliverTxSuccess(await poor.sendTokens(grantee, to, coins(10, "uve"), fee));
  assert.equal((await client.getBalance(to, "uve")).amount, "10");
});

await check("a grant lets another account send", async () => {
  const wallet = await fresh();
  const [{ address: grantee }] = await wallet.getAccounts();
  const seconds = BigInt(Math.floor(Date.now() / 1000) + 3600);
  const authorization = { typeUrl: "/cosmos.authz.v1beta1.GenericAuthorization", value: GenericAuthorization.encode({ msg: "/cosmos.bank.v1beta1.MsgSend" }).finish() };
  const grant = {
    typeUrl: "/cosmos.authz.v1beta1.MsgGrant",
    value: { granter: address, grantee, grant: { authorization, expiration: { seconds, nanos: 0 } } },
  };
  const fund = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: address, toAddress: grantee, amount: coins(50_000, "uve") } };
  assertIsDeliverTxSuccess(await directClient.signAndBroadcast(address, [fund, grant], "auto"));
  const signer = await SigningStargateClient.connectWithSigner(rpc, wallet, { gasPrice });
  const to = await freshAddress();
  const inner = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: MsgSend.encode({ fromAddress: address, toAddress: to, amount: coins(11, "uve") }).finish() };
  const exec = { typeUrl: "/cosmos.authz.v1beta1.MsgExec", value: { grantee, msgs: [inner] } };
  assertIsDeliverTxSuccess(await signer.signAndBroadcast(grantee, [exec], "auto"));
  assert.equal((await client.getBalance(to, "uve")).amount, "11");
});

await check("a WebSocket subscription sees new blocks and a transaction", async () => {
  const comet = await connectComet(rpc.replace("http", "ws"));
  const first = (stream) => new Promise((resolve, reject) => stream.take(1).subscribe({ next: resolve, error: reject }));
  const block = await first(comet.subscribeNewBlock());
  assert.equal(block.header.chainId, chainId);
  const to = await freshAddress();
  const seen = first(comet.subscribeTx(`transfer.recipient='${to}'`));
  const result = await directClient.sendTokens(address, to, coins(5, "uve"), "auto");
  const event = await seen;
  assert.equal(toHex(event.hash).toUpperCase(), result.transactionHash);
  comet.disconnect();
});

await check("block results and validators are decoded", async () => {
  const comet = await connectComet(rpc);
  const results = await comet.blockResults(sent.height);
  assert.ok(results.results.length > 0);
  const { validators } = await comet.validatorsAll();
  assert.equal(validators.length, 1);
  const { lastBlockAppHash, lastBlockHeight } = await comet.abciInfo();
  assert.ok(lastBlockHeight > 0 && lastBlockAppHash.length === 32);
});

await check("existence proofs of a balance verify with the ICS23 library against the header", async () => {
  const comet = await connectComet(rpc);
  const specs = (await (await fetch(`${env("VE_REST")}/virtengine/proofs/v1/specs`)).json()).map((s) => ics23.ProofSpec.fromObject(specObject(s)));
  const { data } = fromBech32(address);
  // Cosmos SDK's key of a balance: 02, length and bytes of the address, denom.
  const key = Uint8Array.from([2, data.length, ...data, ...toUtf8("uve")]);
  const answer = await comet.abciQuery({ path: "/store/bank/key", data: key, prove: true });
  assert.ok(BigInt(fromUtf8(answer.value)) > 0n);
  assert.deepEqual(answer.proof.ops.map((o) => o.type), ["ics23:jmt", "ics23:jmt"]);
  assert.equal(fromUtf8(answer.proof.ops[1].key), "bank");
  const [inStore, inRoot] = answer.proof.ops.map((o) => ics23.CommitmentProof.decode(o.data));
  const storeRoot = inRoot.exist.value;
  const header = await eventually(`block ${answer.height + 1}`, async () => (await comet.block(answer.height + 1).catch(() => undefined))?.block.header);
    assert.equal(verifyMembership(inStore, specs[0], storeRoot, key, answer.value), true);
  assert.equal(verifyMembership(inRoot, specs[1], header.appHash, toUtf8("bank"), storeRoot), true);
  assert.equal(verifyMembership(inStore, specs[0], storeRoot, key, toUtf8("1")), false);
});

// A spec as REST shows it, as protobufjs reads it.
function specObject(value) {
  if (Array.isArray(value)) return value.map(specObject);
  if (value === null || typeof value !== "object") return value;
  const camel = (k) => k.replace(/_(.)/g, (_, c) => c.toUpperCase());
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [camel(k), specObject(v)]));
}

// Sockets that the libraries keep open must not keep the program.
process.exit();
