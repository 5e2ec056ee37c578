// light-verify answers a question about a chain's state as someone who trusts only one of its headers would: CometBFT's
// light client verifies the header at h + 1, and the stock ics23 library verifies the answer of height h under it.
//
// It prints the value as hex, or "absent"; it fails when anything does not verify.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/libs/bytes"
	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/light/store/db"
	rpc "github.com/cometbft/cometbft/rpc/client"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	ics23 "github.com/cosmos/ics23/go"
)

// The header that carries a state's hash is one block later; a network that makes none for this long has stopped.
const blockTimeout = 30 * time.Second

type options struct {
	rpc, chainID, store, trustHash string
	witnesses                      []string
	trustHeight, height            int64
	trustPeriod                    time.Duration
	key                            []byte
	specs                          []*ics23.ProofSpec
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "light-verify:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	var o options
	f := flag.NewFlagSet("light-verify", flag.ContinueOnError)
	f.StringVar(&o.rpc, "rpc", "http://127.0.0.1:26657", "CometBFT RPC of the node that is asked")
	witnesses := f.String("witness", "", "RPC of other nodes to compare headers with, comma-separated")
	f.StringVar(&o.chainID, "chain-id", "", "chain id")
	f.Int64Var(&o.trustHeight, "trust-height", 1, "height of the header to trust")
	f.StringVar(&o.trustHash, "trust-hash", "", "its hash (hex); without it, what the node says, if the witnesses agree")
	f.DurationVar(&o.trustPeriod, "trust-period", 7*24*time.Hour, "how long a header can be trusted")
	f.StringVar(&o.store, "store", "", "name of the module's store")
	key := f.String("key", "", "key inside the store (hex)")
	f.Int64Var(&o.height, "height", 0, "height of the state; 0 means the newest that a header covers")
	specs := f.String("specs", "", "JSON file with the proof specs: of a module's store, then of the stores under the root")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"witness": *witnesses, "chain-id": o.chainID, "store": o.store, "key": *key, "specs": *specs} {
		if value == "" {
			return nil, fmt.Errorf("--%s is required", name)
		}
	}
	o.witnesses = strings.Split(*witnesses, ",")
	var err error
	if o.key, err = hex.DecodeString(*key); err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if o.specs, err = readSpecs(*specs); err != nil {
		return nil, fmt.Errorf("--specs %s: %w", *specs, err)
	}
	return &o, nil
}

func run(ctx context.Context, o *options) error {
	primary, err := rpchttp.New(o.rpc, "/websocket")
	if err != nil {
		return fmt.Errorf("--rpc %s: %w", o.rpc, err)
	}
	if o.height == 0 {
		status, err := primary.Status(ctx)
		if err != nil {
			return fmt.Errorf("status of %s: %w", o.rpc, err)
		}
		o.height = max(status.SyncInfo.LatestBlockHeight-1, 1)
	}
	for _, url := range append([]string{o.rpc}, o.witnesses...) {
		if err := waitForBlock(ctx, url, o.height+1); err != nil {
			return err
		}
	}

	header, err := verifiedAppHash(ctx, o, primary)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/store/%s/key", o.store)
	result, err := primary.ABCIQueryWithOptions(ctx, path, o.key, rpc.ABCIQueryOptions{Height: o.height, Prove: true})
	if err != nil {
		return fmt.Errorf("abci_query %s: %w", path, err)
	}
	answer := result.Response
	if answer.Code != 0 {
		return fmt.Errorf("abci_query %s: code %d, codespace %q: %s", path, answer.Code, answer.Codespace, answer.Log)
	}
	if answer.Height != o.height {
		return fmt.Errorf("asked for height %d, answered for %d", o.height, answer.Height)
	}
	if err := verify(o.specs, header, o.store, o.key, answer.Value, answer.ProofOps); err != nil {
		return fmt.Errorf("height %d, store %s, key %X: %w", o.height, o.store, o.key, err)
	}
	if len(answer.Value) == 0 {
		fmt.Println("absent")
	} else {
		fmt.Println(hex.EncodeToString(answer.Value))
	}
	fmt.Fprintf(os.Stderr, "verified at height %d under the app hash %X of header %d\n", o.height, header, o.height+1)
	return nil
}

// verifiedAppHash returns the hash of the state of o.height, from a header that the light client has verified.
func verifiedAppHash(ctx context.Context, o *options, primary *rpchttp.HTTP) (bytes.HexBytes, error) {
	trusted := light.TrustOptions{Period: o.trustPeriod, Height: o.trustHeight}
	var err error
	if o.trustHash != "" {
		if trusted.Hash, err = hex.DecodeString(o.trustHash); err != nil {
			return nil, fmt.Errorf("--trust-hash: %w", err)
		}
	} else {
		commit, err := primary.Commit(ctx, &o.trustHeight)
		if err != nil {
			return nil, fmt.Errorf("header %d of %s: %w", o.trustHeight, o.rpc, err)
		}
		trusted.Hash = commit.Header.Hash()
	}
	store := db.New(dbm.NewMemDB(), o.chainID)
	client, err := light.NewHTTPClient(ctx, o.chainID, trusted, o.rpc, o.witnesses, store)
	if err != nil {
		return nil, fmt.Errorf("trusting header %d (%X): %w", o.trustHeight, trusted.Hash, err)
	}
	block, err := client.VerifyLightBlockAtHeight(ctx, o.height+1, time.Now())
	if err != nil {
		return nil, fmt.Errorf("verifying header %d: %w", o.height+1, err)
	}
	return block.AppHash, nil
}

func waitForBlock(ctx context.Context, url string, height int64) error {
	node, err := rpchttp.New(url, "/websocket")
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	for deadline := time.Now().Add(blockTimeout); ; time.Sleep(100 * time.Millisecond) {
		status, err := node.Status(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("status of %s: %w", url, err)
		case status.SyncInfo.LatestBlockHeight >= height:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s is at height %d and has not reached %d within %s", url, status.SyncInfo.LatestBlockHeight, height, blockTimeout)
		}
	}
}
