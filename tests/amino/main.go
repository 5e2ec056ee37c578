// amino prints the sign bytes of SIGN_MODE_LEGACY_AMINO_JSON that Cosmos SDK's x/tx makes from our descriptors: a line
// for each transaction on standard input, `error: …` where it makes none. Messages that the SDK knows are encoded from
// its own descriptors too, and a difference is an error that no other program can give.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	_ "cosmossdk.io/api/cosmos/auth/v1beta1"
	_ "cosmossdk.io/api/cosmos/authz/v1beta1"
	_ "cosmossdk.io/api/cosmos/bank/v1beta1"
	_ "cosmossdk.io/api/cosmos/consensus/v1"
	_ "cosmossdk.io/api/cosmos/crypto/ed25519"
	_ "cosmossdk.io/api/cosmos/crypto/multisig"
	_ "cosmossdk.io/api/cosmos/crypto/secp256k1"
	_ "cosmossdk.io/api/cosmos/distribution/v1beta1"
	_ "cosmossdk.io/api/cosmos/feegrant/v1beta1"
	_ "cosmossdk.io/api/cosmos/gov/v1"
	_ "cosmossdk.io/api/cosmos/gov/v1beta1"
	_ "cosmossdk.io/api/cosmos/mint/v1beta1"
	_ "cosmossdk.io/api/cosmos/slashing/v1beta1"
	_ "cosmossdk.io/api/cosmos/staking/v1beta1"
	txv1beta1 "cosmossdk.io/api/cosmos/tx/v1beta1"
	_ "cosmossdk.io/api/cosmos/upgrade/v1beta1"
	"cosmossdk.io/x/tx/signing"
	"cosmossdk.io/x/tx/signing/aminojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Tx is a transaction and who signs it; bytes are base64.
type Tx struct {
	Body, AuthInfo          []byte
	Address, ChainID        string
	AccountNumber, Sequence uint64
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: amino DESCRIPTORS TRANSACTIONS")
	}
	files, err := descriptors(os.Args[1])
	if err != nil {
		fail("%s: %v", os.Args[1], err)
	}
	ours := aminojson.NewSignModeHandler(aminojson.SignModeHandlerOptions{FileResolver: files, TypeResolver: new(protoregistry.Types)})
	sdk := aminojson.NewSignModeHandler(aminojson.SignModeHandlerOptions{
		FileResolver: protoregistry.GlobalFiles, TypeResolver: protoregistry.GlobalTypes,
	})
	transactions, err := os.Open(os.Args[2])
	if err != nil {
		fail("%v", err)
	}
	in, out := bufio.NewScanner(transactions), bufio.NewWriter(os.Stdout)
	in.Buffer(nil, 64<<20)
	defer out.Flush()
	for in.Scan() {
		var tx Tx
		if err := json.Unmarshal(in.Bytes(), &tx); err != nil {
			fail("input: %v", err)
		}
		answer := signBytes(ours, tx)
		if !bytes.Contains(tx.Body, []byte("/virtengine.")) {
			if other := signBytes(sdk, tx); !same(answer, other) {
				answer = "differs: " + other
			}
		}
		fmt.Fprintln(out, answer)
	}
}

func same(a, b string) bool {
	return a == b || strings.HasPrefix(a, "error: ") && strings.HasPrefix(b, "error: ")
}

func descriptors(path string) (*protoregistry.Files, error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(encoded, set); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(set)
}

func signBytes(handler *aminojson.SignModeHandler, tx Tx) string {
	body, auth := new(txv1beta1.TxBody), new(txv1beta1.AuthInfo)
	if err := proto.Unmarshal(tx.Body, body); err != nil {
		fail("body: %v", err)
	}
	if err := proto.Unmarshal(tx.AuthInfo, auth); err != nil {
		fail("auth info: %v", err)
	}
	signer := signing.SignerData{Address: tx.Address, ChainID: tx.ChainID, AccountNumber: tx.AccountNumber, Sequence: tx.Sequence}
	data := signing.TxData{Body: body, AuthInfo: auth, BodyBytes: tx.Body, AuthInfoBytes: tx.AuthInfo}
	bytes, err := handler.GetSignBytes(context.Background(), signer, data)
	if err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return string(bytes)
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
