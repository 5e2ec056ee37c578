package main

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cometbft/cometbft/libs/log"
	nm "github.com/cometbft/cometbft/node"
	grpccore "github.com/cometbft/cometbft/rpc/grpc"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	"github.com/rs/cors"
)

// serveRPC serves the node's RPC as the node itself would, with our endpoint at /websocket. The node must not have been
// started, and does not serve it itself then. The listeners are the caller's to close.
func serveRPC(node *nm.Node, logger log.Logger) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(listeners)
		}
	}()
	rpc := node.Config().RPC
	var addresses []string
	for _, address := range strings.Split(rpc.ListenAddress, ",") {
		if address = strings.TrimSpace(address); address != "" {
			addresses = append(addresses, address)
		}
	}
	// The environment is of the configuration as it stands; then the node must not see an address.
	environment, err := node.ConfigureRPC()
	if err != nil {
		return nil, err
	}
	rpc.ListenAddress = ""
	if len(addresses) == 0 {
		return nil, nil
	}
	routes := environment.GetRoutes()
	if rpc.Unsafe {
		environment.AddUnsafeRoutes(routes)
	}
	config := rpcserver.DefaultConfig()
	config.MaxRequestBatchSize = rpc.MaxRequestBatchSize
	config.MaxBodyBytes = rpc.MaxBodyBytes
	config.MaxHeaderBytes = rpc.MaxHeaderBytes
	config.MaxOpenConnections = rpc.MaxOpenConnections
	// broadcast_tx_commit has to be able to write what it waited for.
	config.WriteTimeout = max(config.WriteTimeout, rpc.TimeoutBroadcastTxCommit+time.Second)

	logger = logger.With("module", "rpc-server")
	mux := http.NewServeMux()
	rpcserver.RegisterRPCFuncs(mux, routes, logger)
	hub, err := newHub(node.EventBus(), *rpc, logger)
	if err != nil {
		return nil, err
	}
	calls := rpcserver.RecoverAndLogHandler(mux, logger)
	mux.Handle("/websocket", newEndpoint(hub, calls, config.MaxBodyBytes, logger.With("protocol", "websocket")))
	var handler http.Handler = mux
	if rpc.IsCorsEnabled() {
		handler = cors.New(cors.Options{
			AllowedOrigins: rpc.CORSAllowedOrigins,
			AllowedMethods: rpc.CORSAllowedMethods,
			AllowedHeaders: rpc.CORSAllowedHeaders,
		}).Handler(mux)
	}
	for _, address := range addresses {
		listener, err := rpcserver.Listen(address, config.MaxOpenConnections)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, listener)
		go func() {
			// They log how they end.
			if rpc.IsTLSEnabled() {
				_ = rpcserver.ServeTLS(listener, handler, rpc.CertFile(), rpc.KeyFile(), logger, config)
			} else {
				_ = rpcserver.Serve(listener, handler, logger, config)
			}
		}()
	}
	if rpc.GRPCListenAddress != "" {
		listener, err := rpcserver.Listen(rpc.GRPCListenAddress, rpc.GRPCMaxOpenConnections)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, listener)
		go func() {
			//nolint:staticcheck // deprecated, and an option of v0.38
			if err := grpccore.StartGRPCServer(environment, listener); err != nil {
				logger.Error("Error starting gRPC server", "err", err)
			}
		}()
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		_ = listener.Close()
	}
}
