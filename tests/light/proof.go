package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/cometbft/cometbft/proto/tendermint/crypto"
	"github.com/cosmos/gogoproto/jsonpb"
	ics23 "github.com/cosmos/ics23/go"
)

const proofOpType = "ics23:jmt"

// readSpecs reads a JSON array of two specs: of a module's store, and of the tree of stores under the root.
func readSpecs(path string) ([]*ics23.ProofSpec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	if len(parts) != 2 {
		return nil, fmt.Errorf("expected an array of 2 proof specs, got %d", len(parts))
	}
	specs := make([]*ics23.ProofSpec, len(parts))
	for i, part := range parts {
		specs[i] = &ics23.ProofSpec{}
		if err := jsonpb.Unmarshal(bytes.NewReader(part), specs[i]); err != nil {
			return nil, fmt.Errorf("spec %d: %w", i, err)
		}
	}
	return specs, nil
}

// verify checks that the state under appHash holds value at key of store, or nothing where value is empty.
func verify(specs []*ics23.ProofSpec, appHash []byte, store string, key, value []byte, ops *crypto.ProofOps) error {
	if ops == nil || len(ops.Ops) != 2 {
		return errors.New("expected 2 proof ops, of the key in its store and of the store under the root")
	}
	proofs := make([]*ics23.CommitmentProof, 2)
	for i, want := range [][]byte{key, []byte(store)} {
		op := ops.Ops[i]
		if op.Type != proofOpType {
			return fmt.Errorf("proof op %d: expected type %s, got %q", i, proofOpType, op.Type)
		}
		if !bytes.Equal(op.Key, want) {
			return fmt.Errorf("proof op %d: expected key %X, got %X", i, want, op.Key)
		}
		proofs[i] = &ics23.CommitmentProof{}
		if err := proofs[i].Unmarshal(op.Data); err != nil {
			return fmt.Errorf("proof op %d: %w", i, err)
		}
	}
	// The store's root is whatever the first proof leads to; the second one binds it to the header.
	root, err := proofs[0].Calculate()
	if err != nil {
		return fmt.Errorf("root of the store: %w", err)
	}
	switch {
	case len(value) == 0 && !ics23.VerifyNonMembership(specs[0], root, proofs[0], key):
		return errors.New("the absence of the key does not verify")
	case len(value) != 0 && !ics23.VerifyMembership(specs[0], root, proofs[0], key, value):
		return errors.New("the value does not verify")
	case !ics23.VerifyMembership(specs[1], appHash, proofs[1], []byte(store), root):
		return fmt.Errorf("the root of store %s does not verify under the header", store)
	}
	return nil
}
