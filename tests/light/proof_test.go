package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cometbft/cometbft/proto/tendermint/crypto"
	ics23 "github.com/cosmos/ics23/go"
)

var jmtLeaf = &ics23.LeafOp{
	Hash:         ics23.HashOp_SHA256,
	PrehashKey:   ics23.HashOp_SHA256,
	PrehashValue: ics23.HashOp_SHA256,
	Length:       ics23.LengthOp_NO_PREFIX,
	Prefix:       []byte("JMT::LeafNode"),
}

const inner = "JMT::IntrnalNode"

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func leafHash(key, value string) []byte {
	return hash(jmtLeaf.Prefix, hash([]byte(key)), hash([]byte(value)))
}

// A tree of two leaves, one on either side: what is proved, and the sibling.
type pair struct{ left, right, leftValue, rightValue string }

func (p pair) root() []byte {
	return hash([]byte(inner), leafHash(p.left, p.leftValue), leafHash(p.right, p.rightValue))
}

func (p pair) existsLeft() *ics23.ExistenceProof {
	return &ics23.ExistenceProof{Key: []byte(p.left), Value: []byte(p.leftValue), Leaf: jmtLeaf, Path: []*ics23.InnerOp{
		{Hash: ics23.HashOp_SHA256, Prefix: []byte(inner), Suffix: leafHash(p.right, p.rightValue)},
	}}
}

func (p pair) existsRight() *ics23.ExistenceProof {
	return &ics23.ExistenceProof{Key: []byte(p.right), Value: []byte(p.rightValue), Leaf: jmtLeaf, Path: []*ics23.InnerOp{
		{Hash: ics23.HashOp_SHA256, Prefix: append([]byte(inner), leafHash(p.left, p.leftValue)...)},
	}}
}

func op(t *testing.T, key string, proof *ics23.CommitmentProof) crypto.ProofOp {
	t.Helper()
	data, err := proof.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return crypto.ProofOp{Type: proofOpType, Key: []byte(key), Data: data}
}

func exist(p *ics23.ExistenceProof) *ics23.CommitmentProof {
	return &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Exist{Exist: p}}
}

// keyBetween returns a name whose hash lies between those of p's leaves, and never the name of one.
func (p pair) keyBetween() string {
	l, r := string(hash([]byte(p.left))), string(hash([]byte(p.right)))
	for name := "a"; ; name += "a" {
		if h := string(hash([]byte(name))); l < h && h < r {
			return name
		}
	}
}

// ordered puts the name whose hash starts with a zero bit on the left.
func ordered(t *testing.T, one, oneValue, two, twoValue string) pair {
	t.Helper()
	top := func(s string) byte { return hash([]byte(s))[0] >> 7 }
	switch {
	case top(one) == 0 && top(two) == 1:
		return pair{one, two, oneValue, twoValue}
	case top(one) == 1 && top(two) == 0:
		return pair{two, one, twoValue, oneValue}
	}
	t.Fatalf("%s and %s are on the same side", one, two)
	return pair{}
}

func (p pair) exists(key string) *ics23.ExistenceProof {
	if key == p.left {
		return p.existsLeft()
	}
	return p.existsRight()
}

func TestAnswersVerifyUnderTheHeaderAndForgeriesDoNot(t *testing.T) {
	specs, err := readSpecs("testdata/specs.json")
	if err != nil {
		t.Fatal(err)
	}
	rows := ordered(t, "alice", "100", "bob", "7")
	stores := ordered(t, "bank", string(rows.root()), "staking", "another root")
	header := stores.root()
	storeOp := op(t, "bank", exist(stores.exists("bank")))
	present := &crypto.ProofOps{Ops: []crypto.ProofOp{op(t, "alice", exist(rows.exists("alice"))), storeOp}}
	gap := rows.keyBetween()
	nobody := &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Nonexist{Nonexist: &ics23.NonExistenceProof{
		Key: []byte(gap), Left: rows.existsLeft(), Right: rows.existsRight(),
	}}}
	absent := &crypto.ProofOps{Ops: []crypto.ProofOp{op(t, gap, nobody), storeOp}}
	wrongType := op(t, "alice", exist(rows.exists("alice")))
	wrongType.Type = "ics23:iavl"

	for _, c := range []struct {
		name, store, key, value string
		header                  []byte
		ops                     *crypto.ProofOps
		failure                 string
	}{
		{"a value", "bank", "alice", "100", header, present, ""},
		{"an absence", "bank", gap, "", header, absent, ""},
		{"another value", "bank", "alice", "101", header, present, "value does not verify"},
		{"a value called absent", "bank", "alice", "", header, present, "absence of the key does not verify"},
		{"an absence called a value", "bank", gap, "1", header, absent, "value does not verify"},
		{"another key", "bank", "bob", "100", header, present, "proof op 0: expected key"},
		{"another store", "staking", "alice", "100", header, present, "proof op 1: expected key"},
		{"another header", "bank", "alice", "100", hash(header), present, "does not verify under the header"},
		{"another tree", "bank", "alice", "100", header,
			&crypto.ProofOps{Ops: []crypto.ProofOp{present.Ops[0], op(t, "bank", exist(rows.exists("alice")))}}, "does not verify under the header"},
		{"another kind of proof", "bank", "alice", "100", header, &crypto.ProofOps{Ops: []crypto.ProofOp{wrongType, storeOp}}, "expected type ics23:jmt"},
		{"garbage", "bank", "alice", "100", header,
			&crypto.ProofOps{Ops: []crypto.ProofOp{{Type: proofOpType, Key: []byte("alice"), Data: []byte{0xff}}, storeOp}}, "proof op 0"},
		{"an empty proof", "bank", "alice", "", header,
			&crypto.ProofOps{Ops: []crypto.ProofOp{{Type: proofOpType, Key: []byte("alice")}, storeOp}}, "root of the store"},
		{"no proof", "bank", "alice", "100", header, nil, "expected 2 proof ops"},
	} {
		err := verify(specs, c.header, c.store, []byte(c.key), []byte(c.value), c.ops)
		if c.failure == "" && err != nil || c.failure != "" && (err == nil || !strings.Contains(err.Error(), c.failure)) {
			t.Errorf("%s: expected %q, got %v", c.name, c.failure, err)
		}
	}
}

func TestSpecsAreReadWithNamesOrNumbersAndNothingElse(t *testing.T) {
	text, err := os.ReadFile("testdata/specs.json")
	if err != nil {
		t.Fatal(err)
	}
	numbers := strings.NewReplacer(`"SHA256"`, "1", `"NO_PREFIX"`, "0").Replace(string(text))
	path := filepath.Join(t.TempDir(), "specs.json")
	for text, failure := range map[string]string{
		numbers:                  "",
		"[]":                     "array of 2",
		"{}":                     "cannot unmarshal object",
		`[{}, {"leaf": 1}]`:      "spec 1",
		`[{}, {"max_depth":""}]`: "spec 1",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		specs, err := readSpecs(path)
		if failure == "" {
			if err != nil || !bytes.Equal(specs[0].LeafSpec.Prefix, jmtLeaf.Prefix) || specs[0].LeafSpec.PrehashValue != jmtLeaf.PrehashValue || !specs[1].PrehashKeyBeforeComparison {
				t.Errorf("%v, %v", specs, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), failure) {
			t.Errorf("%.20s: expected %q, got %v", text, failure, err)
		}
	}
}

func TestAMissingFlagIsNamed(t *testing.T) {
	if _, err := parse([]string{"--witness", "x", "--store", "bank", "--key", "00", "--specs", "testdata/specs.json"}); err == nil || err.Error() != "--chain-id is required" {
		t.Error(err)
	}
}
