"""Holds envelopes against libsodium: PyNaCl opens what `virtengine encryption seal` made, and the reverse.

usage: envelopes.py VIRTENGINE VECTOR
VIRTENGINE is the binary, VECTOR the file client/src/testdata/envelope.json.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import nacl.exceptions
import nacl.public
import nacl.secret
import nacl.utils

ALGORITHM = "X25519-XSalsa20-Poly1305"
# The words of the vector's second recipient: a key that everybody has.
WORDS = " ".join(["abandon"] * 11 + ["about"])
ROUNDS = 20


def fields(chain_id, lease):
    """What a sealed text begins with."""
    name = "/".join(str(lease[k]) for k in ("owner", "dseq", "gseq", "oseq", "provider"))
    parts = [chain_id.encode(), name.encode(), lease["owner"].encode()]
    return b"".join(len(p).to_bytes(2, "big") + p for p in parts)


def seal(payload, chain_id, lease, recipients):
    """An envelope as the chain's JSON has it, made by libsodium alone."""
    data_key = nacl.utils.random(32)
    nonce = nacl.utils.random(24)
    ciphertext = nacl.secret.SecretBox(data_key).encrypt(fields(chain_id, lease) + payload, nonce).ciphertext
    sealed = []
    for recipient in recipients:
        ephemeral, box_nonce = nacl.public.PrivateKey.generate(), nacl.utils.random(24)
        sealed.append(
            {
                "fingerprint": hashlib.sha256(bytes(recipient)).hexdigest()[:40],
                "ephemeral_public_key": b64(bytes(ephemeral.public_key)),
                "nonce": b64(box_nonce),
                "sealed_key": b64(nacl.public.Box(ephemeral, recipient).encrypt(data_key, box_nonce).ciphertext),
            }
        )
    return {"algorithm": ALGORITHM, "recipients": sealed, "nonce": b64(nonce), "ciphertext": b64(ciphertext)}


def opened(envelope, secret, chain_id, lease, decode):
    """The payload, by libsodium alone."""
    mine = hashlib.sha256(bytes(secret.public_key)).hexdigest()[:40]
    (sealed,) = [r for r in envelope["recipients"] if r["fingerprint"] == mine]
    box = nacl.public.Box(secret, nacl.public.PublicKey(decode(sealed["ephemeral_public_key"])))
    data_key = box.decrypt(decode(sealed["sealed_key"]), decode(sealed["nonce"]))
    text = nacl.secret.SecretBox(data_key).decrypt(decode(envelope["ciphertext"]), decode(envelope["nonce"]))
    bound = fields(chain_id, lease)
    assert text.startswith(bound), f"{text!r} does not begin with {bound!r}"
    return text[len(bound) :]


def b64(data):
    return base64.b64encode(data).decode()


class Cli:
    def __init__(self, binary, home, chain_id, lease):
        self.base = [binary, "--home", home, "--keyring-backend", "test", "--chain-id", chain_id]
        self.lease = [arg for name in ("owner", "dseq", "gseq", "oseq", "provider") for arg in (f"--{name}", str(lease[name]))]

    def run(self, *args, text=b"", code=0):
        run = subprocess.run([*self.base, *args], input=text, capture_output=True, check=False)
        assert run.returncode == code, f"{args}: exit code {run.returncode}: {run.stderr.decode()}"
        return run.stdout if code == 0 else run.stderr.decode()

    def seal(self, payload, *recipients):
        keys = [arg for key in recipients for arg in ("--recipient", bytes(key).hex())]
        return json.loads(self.run("encryption", "seal", "-", *self.lease, *keys, text=payload))

    def open(self, envelope, code=0):
        text = json.dumps(envelope).encode()
        return self.run("encryption", "open", "-", *self.lease, "--from", "recipient", text=text, code=code)


def main(binary, vector_path):
    with open(vector_path, encoding="utf-8") as file:
        vector = json.load(file)
    chain_id, lease = vector["chain_id"], vector["lease_id"]
    secrets = [nacl.public.PrivateKey(bytes.fromhex(key)) for key in vector["recipient_private_keys"]]
    payload = vector["payload"].encode()
    for secret in secrets:
        assert opened(vector["envelope"], secret, chain_id, lease, bytes.fromhex) == payload
    print("libsodium opens the test vector with both keys")

    with tempfile.TemporaryDirectory() as home:
        cli = Cli(binary, home, chain_id, lease)
        cli.run("keys", "add", "recipient", "--recover", text=WORDS.encode() + b"\n")
        own = secrets[1]
        for size in range(ROUNDS):
            payload = os.urandom(size * size * 7 + 1)
            other = nacl.public.PrivateKey.generate()
            ours = cli.seal(payload, other.public_key, own.public_key)
            for secret in (other, own):
                assert opened(ours, secret, chain_id, lease, base64.b64decode) == payload
            theirs = seal(payload, chain_id, lease, [other.public_key, own.public_key])
            assert cli.open(theirs) == payload
        print(f"libsodium opens {ROUNDS} of our envelopes, and we open {ROUNDS} of its")

        elsewhere = seal(payload, chain_id, {**lease, "dseq": lease["dseq"] + 1}, [own.public_key])
        error = cli.open(elsewhere, code=1)
        assert "sealed for the lease" in error, error
        theirs["ciphertext"] = b64(bytes([base64.b64decode(theirs["ciphertext"])[0] ^ 1]) + base64.b64decode(theirs["ciphertext"])[1:])
        error = cli.open(theirs, code=1)
        assert "does not decrypt" in error, error
        ours["nonce"] = b64(nacl.utils.random(24))
        try:
            opened(ours, own, chain_id, lease, base64.b64decode)
            raise AssertionError("libsodium opened a changed envelope")
        except nacl.exceptions.CryptoError:
            pass
        print("an envelope of another lease and changed ones are refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
