package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// CometBFT signals its own process when it loses the application; the tests outlive that.
func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	os.Exit(m.Run())
}

// oneValidator returns the configuration of a network of one, at app.
func oneValidator(t *testing.T, app string) *cfg.Config {
	t.Helper()
	config := cfg.TestConfig()
	// Not t.TempDir, which fails when a node that was stopped the hard way still writes.
	dir, err := os.MkdirTemp("", "cometbft")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config.SetRoot(dir)
	cfg.EnsureRoot(config.RootDir)
	config.ProxyApp = app
	config.RPC.ListenAddress = freeAddress(t)
	config.P2P.ListenAddress = freeAddress(t)
	pv := privval.GenFilePV(config.PrivValidatorKeyFile(), config.PrivValidatorStateFile())
	pv.Save()
	genesis := types.GenesisDoc{ChainID: "test", GenesisTime: time.Now(), Validators: []types.GenesisValidator{
		{Address: pv.Key.Address, PubKey: pv.Key.PubKey, Power: 10},
	}}
	must(t, genesis.ValidateAndComplete())
	must(t, genesis.SaveAs(config.GenesisFile()))
	return config
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return "tcp://" + l.Addr().String()
}

// running starts the node and waits until its application has committed a block.
func running(t *testing.T, config *cfg.Config, parentGone chan struct{}) chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- run(config, log.NewNopLogger(), parentGone) }()
	probe, _ := connect(t, config.ProxyApp)
	within(t, "a block is committed", func() {
		for {
			info, err := probe.Info(background, &abci.RequestInfo{})
			must(t, err)
			if info.LastBlockHeight > 1 {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return ended
}

func TestANodeFailsWhenItsApplicationIsLost(t *testing.T) {
	addr, s := serve(t, kvstore.NewInMemoryApplication())
	config := oneValidator(t, addr)
	ended := running(t, config, nil)
	must(t, s.Stop())
	within(t, "the node ends", func() {
		if err := <-ended; err == nil || !contains(err.Error(), "lost the application at "+addr) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestANodeEndsWithItsParentAndFreesItsPorts(t *testing.T) {
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	config := oneValidator(t, addr)
	gone := make(chan struct{})
	ended := running(t, config, gone)
	close(gone)
	within(t, "the node ends", func() { must(t, <-ended) })
	for _, addr := range []string{config.RPC.ListenAddress, config.P2P.ListenAddress} {
		l, err := net.Listen("tcp", strings.TrimPrefix(addr, "tcp://"))
		must(t, err)
		l.Close()
	}
}

func TestANodeWhoseApplicationNeverCameCanBeStopped(t *testing.T) {
	config := oneValidator(t, "unix://"+filepath.Join(t.TempDir(), "nobody.sock"))
	gone := make(chan struct{})
	close(gone)
	within(t, "the node ends", func() { must(t, run(config, log.NewNopLogger(), gone)) })
}

func TestTheEndOfTheParentsPipeIsSeen(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	t.Setenv(envParentPipe, fmt.Sprint(r.Fd()))
	gone, err := parentGone()
	must(t, err)
	select {
	case <-gone:
		t.Fatal("gone too early")
	case <-time.After(20 * time.Millisecond):
	}
	w.Close()
	within(t, "the end is seen", func() { <-gone })

	for _, bad := range []string{"", "stdin", "-1", "987654"} {
		t.Setenv(envParentPipe, bad)
		if _, err := parentGone(); err == nil || !contains(err.Error(), envParentPipe) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestOurClientIsChosenForSocketsUnlessToldOtherwise(t *testing.T) {
	ours := func(app, transport string) bool {
		config := cfg.DefaultConfig()
		config.ProxyApp, config.ABCI = app, transport
		_, ours := newClientCreator(background, config, nil).(clientCreator)
		return ours
	}
	if !ours("unix:///app.sock", "socket") || !ours("tcp://127.0.0.1:26658", "socket") {
		t.Error("a socket")
	}
	if ours("kvstore", "socket") || ours("tcp://127.0.0.1:26658", "grpc") {
		t.Error("not a socket")
	}
	t.Setenv(envClient, "stock")
	if ours("unix:///app.sock", "socket") {
		t.Error("told otherwise")
	}
}
