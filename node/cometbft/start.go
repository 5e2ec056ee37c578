package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/log"
	nm "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
)

const (
	// `stock` chooses CometBFT's own ABCI client, to compare the two.
	envClient = "VIRTENGINE_ABCI_CLIENT"
	// `stock` leaves the RPC to CometBFT's own server, to compare the two.
	envRPC = "VIRTENGINE_RPC_SERVER"
	// Number of an open file that the parent never writes to: its end means that the parent is gone.
	envParentPipe = "VIRTENGINE_PARENT_PIPE"

	// Longer than closing the databases takes; a parent waits longer than this before it kills.
	stopTimeout = 10 * time.Second
	// Without a parent or an application nothing is worth waiting for, and a successor wants the ports.
	orphanTimeout = 2 * time.Second
)

// start implements nm.Provider by running the node to its end: the command's own way of waiting exits with code 0
// even when the application was lost.
func start(config *cfg.Config, logger log.Logger) (*nm.Node, error) {
	gone, err := parentGone()
	if err != nil {
		return nil, err
	}
	if err := run(config, logger, gone); err != nil {
		return nil, err
	}
	os.Exit(0)
	return nil, nil
}

// run returns nil after a stop that was asked for, by a signal or by the end of the parent.
func run(config *cfg.Config, logger log.Logger, parentGone <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	lost := make(chan error, 1)
	creator := newClientCreator(ctx, config, func(err error) {
		select {
		case lost <- err:
		default: // the first connection to fail names the cause
		}
	})
	type result struct {
		node *node
		err  error
	}
	started := make(chan result, 1)
	go func() {
		node, err := startNode(ctx, config, creator, logger)
		started <- result{node, err}
	}()

	var node *node
	var cause error
	limit := stopTimeout
	for running := true; running; {
		select {
		case r := <-started:
			if r.err != nil {
				return r.err
			}
			node = r.node
			logger.Info("Started node", "nodeInfo", node.Switch().NodeInfo())
		case cause = <-lost:
			running = false
		case sig := <-signals:
			logger.Info("stopping", "signal", sig)
			running = false
		case <-parentGone:
			logger.Info("stopping: the parent process is gone")
			limit = orphanTimeout
			running = false
		}
	}
	// CometBFT signals itself when a connection is lost, and the signal may be seen first.
	if cause == nil {
		select {
		case cause = <-lost:
		default:
		}
	}
	if cause != nil {
		cause = fmt.Errorf("lost the application at %s: %w", config.ProxyApp, cause)
		logger.Error("stopping", "err", cause)
		limit = orphanTimeout
	}

	stopped := make(chan error, 1)
	go func() {
		cancel()
		if node == nil {
			if r := <-started; r.err == nil {
				node = r.node
			}
		}
		if node == nil {
			stopped <- nil
		} else {
			stopped <- node.Stop()
		}
	}()
	select {
	case err := <-stopped:
		if cause == nil {
			cause = err
		}
	case <-time.After(limit):
		logger.Error("stopped the hard way", "after", limit)
	}
	return cause
}

// node is CometBFT's, and where its RPC listens.
type node struct {
	*nm.Node
	rpc []net.Listener
}

func (n *node) Stop() error {
	closeAll(n.rpc)
	return n.Node.Stop()
}

func startNode(ctx context.Context, config *cfg.Config, creator proxy.ClientCreator, logger log.Logger) (*node, error) {
	inner, err := newNode(ctx, config, creator, logger)
	if err != nil {
		return nil, err
	}
	n := &node{Node: inner}
	if os.Getenv(envRPC) != "stock" {
		if n.rpc, err = serveRPC(inner, logger); err != nil {
			return nil, err
		}
	}
	if err := n.Start(); err != nil {
		closeAll(n.rpc)
		return nil, err
	}
	return n, nil
}

func newNode(ctx context.Context, config *cfg.Config, creator proxy.ClientCreator, logger log.Logger) (*nm.Node, error) {
	nodeKey, err := p2p.LoadOrGenNodeKey(config.NodeKeyFile())
	if err != nil {
		return nil, fmt.Errorf("node key %s: %w", config.NodeKeyFile(), err)
	}
	return nm.NewNodeWithContext(ctx, config,
		privval.LoadOrGenFilePV(config.PrivValidatorKeyFile(), config.PrivValidatorStateFile()),
		nodeKey,
		creator,
		nm.DefaultGenesisDocProviderFunc(config),
		cfg.DefaultDBProvider,
		nm.DefaultMetricsProvider(config.Instrumentation),
		logger,
	)
}

// newClientCreator brings our client for applications behind a socket; the built-in ones and gRPC are CometBFT's.
func newClientCreator(ctx context.Context, config *cfg.Config, lost func(error)) proxy.ClientCreator {
	app := config.ProxyApp
	socket := config.ABCI == "socket" && (strings.HasPrefix(app, "unix://") || strings.HasPrefix(app, "tcp://"))
	if !socket || os.Getenv(envClient) == "stock" {
		return proxy.DefaultClientCreator(app, config.ABCI, config.DBDir())
	}
	return clientCreator{ctx: ctx, addr: app, lost: lost}
}

// parentGone returns a channel that closes when the parent's end of the pipe does; nil, which never closes, where
// nobody supervises us.
func parentGone() (<-chan struct{}, error) {
	value, set := os.LookupEnv(envParentPipe)
	if !set {
		return nil, nil
	}
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s: expected the number of an open file, got %q", envParentPipe, value)
	}
	pipe := os.NewFile(uintptr(fd), "parent pipe")
	if _, err := pipe.Stat(); err != nil {
		return nil, fmt.Errorf("%s=%s: %w", envParentPipe, value, err)
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, pipe) // an error ends the pipe as its closing does
		close(gone)
	}()
	return gone, nil
}
