// CometBFT's own key-value application behind a unix socket, as a peer for measurements.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	"github.com/cometbft/cometbft/abci/server"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kvstore SOCKET")
		os.Exit(2)
	}
	s := server.NewSocketServer("unix://"+os.Args[1], kvstore.NewInMemoryApplication())
	if err := s.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
