// Keplr as published: the validator that a chain has to pass to be suggested, and the wallet's own account lookup, gas
// estimation and tracing of transactions. The chain info is that of docs/clients.md.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import validator from "@keplr-wallet/chain-validator";
import cosmos from "@keplr-wallet/cosmos";
import txProto from "@keplr-wallet/proto-types/cosmos/tx/v1beta1/tx.js";
import bankProto from "@keplr-wallet/proto-types/cosmos/bank/v1beta1/tx.js";
import { WebSocket } from "ws";
import { check, env } from "./check.mjs";

const rpc = env("VE_RPC");
const rest = env("VE_REST");
const guide = JSON.parse(await readFile(new URL("chain-info.json", import.meta.url), "utf8"));
const info = { ...guide, chainId: env("VE_CHAIN_ID"), rpc, rest };

const run = promisify(execFile);
const virtengine = async (...args) => (await run(env("VE_BIN"), [...args, "--home", env("VE_HOME"), "--keyring-backend", "test"])).stdout;
const address = (await virtengine("keys", "show", "validator", "-a")).trim();

await check("the chain info of the guide is valid", async () => {
  assert.equal(guide.chainId, info.chainId);
  const valid = await validator.validateBasicChainInfoType(guide);
  assert.equal(valid.bech32Config.bech32PrefixAccAddr, "virtengine");
  await assert.rejects(validator.validateBasicChainInfoType({ ...guide, bip44: {} }));
});

await check("the registry's files agree with it", async () => {
  const read = async (name) => JSON.parse(await readFile(new URL(name, import.meta.url), "utf8"));
  const chain = await read("chain.json");
  const { assets: [asset] } = await read("assetlist.json");
  assert.deepEqual(chain.bech32_config, guide.bech32Config);
  assert.deepEqual([chain.chain_id, chain.slip44], [guide.chainId, guide.bip44.coinType]);
  const { low, average, high } = guide.feeCurrencies[0].gasPriceStep;
  const [fee] = chain.fees.fee_tokens;
  assert.deepEqual([fee.low_gas_price, fee.average_gas_price, fee.high_gas_price], [low, average, high]);
  const { coinDenom, coinMinimalDenom, coinDecimals } = guide.stakeCurrency;
  assert.deepEqual([asset.display, asset.base, asset.denom_units[1].exponent], [coinDenom, coinMinimalDenom, coinDecimals]);
});

await check("RPC and WebSocket can be reached", () => validator.checkRPCConnectivity(info.chainId, rpc, (url) => new WebSocket(url)));

await check("REST can be reached", () => validator.checkRestConnectivity(info.chainId, rest));

await check("another chain is told apart", async () => {
  await assert.rejects(validator.checkRestConnectivity("other-1", rest), /different chain id/);
  await assert.rejects(validator.checkRPCConnectivity("other-1", rpc, (url) => new WebSocket(url)), /different chain id/);
});

await check("the features that it recognises are those of the guide", async () => {
  assert.deepEqual(await validator.checkChainFeatures(info), []);
  assert.equal(await validator.hasFeature({ ...info, features: [] }, "query:/cosmos/bank/v1beta1/spendable_balances"), true);
  assert.equal(await validator.hasFeature({ ...info, features: [] }, "ibc-go"), false);
});

await check("looks an account up, also one that does not exist", async () => {
  const account = await cosmos.BaseAccount.fetchFromRest(rest, address);
  assert.equal(account.getAddress(), address);
  assert.equal(account.getType(), "/cosmos.auth.v1beta1.BaseAccount");
  const nobody = new cosmos.Bech32Address(new Uint8Array(20).fill(7)).toBech32("virtengine");
  const none = await cosmos.BaseAccount.fetchFromRest(rest, nobody, true);
  assert.equal(none.getSequence().toString(), "0");
});

await check("estimates gas with an empty signature and no key", async () => {
  const account = await cosmos.BaseAccount.fetchFromRest(rest, address);
  const value = bankProto.MsgSend.encode({ fromAddress: address, toAddress: address, amount: [{ denom: "uve", amount: "1" }] }).finish();
  const bytes = txProto.TxRaw.encode({
    bodyBytes: txProto.TxBody.encode(txProto.TxBody.fromPartial({ messages: [{ typeUrl: "/cosmos.bank.v1beta1.MsgSend", value }] })).finish(),
    authInfoBytes: txProto.AuthInfo.encode({
      signerInfos: [txProto.SignerInfo.fromPartial({ modeInfo: { single: { mode: 1 } }, sequence: account.getSequence().toString() })],
      fee: txProto.Fee.fromPartial({ amount: [{ denom: "uve", amount: "0" }] }),
    }).finish(),
    signatures: [new Uint8Array(64)],
  }).finish();
  const answer = await fetch(`${rest}/cosmos/tx/v1beta1/simulate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tx_bytes: Buffer.from(bytes).toString("base64") }),
  });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  assert.ok(Number(body.gas_info.gas_used) > 20_000);
});

await check("traces a transaction over WebSocket, and sees blocks", async () => {
  const tracer = new cosmos.TendermintTxTracer(rpc, "/websocket", { wsObject: WebSocket });
  const block = new Promise((resolve) => tracer.subscribeBlock(resolve));
  await new Promise((resolve) => tracer.addEventListener("open", resolve));
  const sent = JSON.parse(await virtengine("tx", "bank", "send", "validator", address, "1uve", "--yes", "--output", "json",
    "--broadcast-mode", "sync", "--node", rpc, "--chain-id", info.chainId));
  const result = await tracer.traceTx(Buffer.from(sent.txhash, "hex"));
  assert.ok(!result.code, JSON.stringify(result));
  assert.ok((await block).block.header.height > 0);
  const again = await tracer.queryTx(Buffer.from(sent.txhash, "hex"));
  assert.ok(!again.code && again.events.some((e) => e.type === "transfer"));
  tracer.close();
});

// What the libraries keep open for later must not keep the program.
process.exit();
