// The consensus engine of a node: CometBFT with all of its own commands, pinned by this module's go.sum.
//
// It differs from the stock binary in `start` alone: the application is spoken to by the client of client.go, WebSocket
// subscriptions are served by rpc.go, websocket.go and events.go, losing the application ends the process with a
// non-zero exit code, and a supervising parent's death ends it too (start.go).
package main

import (
	"os"
	"path/filepath"

	cmd "github.com/cometbft/cometbft/cmd/cometbft/commands"
	"github.com/cometbft/cometbft/cmd/cometbft/commands/debug"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/cli"
)

func main() {
	root := cmd.RootCmd
	root.AddCommand(
		cmd.CompactGoLevelDBCmd,
		cmd.GenNodeKeyCmd,
		cmd.GenValidatorCmd,
		cmd.InitFilesCmd,
		cmd.InspectCmd,
		cmd.LightCmd,
		cmd.NewRunNodeCmd(start),
		cmd.ReIndexEventCmd,
		cmd.ReplayCmd,
		cmd.ReplayConsoleCmd,
		cmd.ResetAllCmd,
		cmd.ResetPrivValidatorCmd,
		cmd.ResetStateCmd,
		cmd.RollbackStateCmd,
		cmd.ShowNodeIDCmd,
		cmd.ShowValidatorCmd,
		cmd.TestnetFilesCmd,
		cmd.VersionCmd,
		cli.NewCompletionCmd(root, true),
		debug.DebugCmd,
	)
	home := os.ExpandEnv(filepath.Join("$HOME", cfg.DefaultTendermintDir))
	// The executor prints the error and exits with its code.
	if cli.PrepareBaseCmd(root, "CMT", home).Execute() != nil {
		os.Exit(1)
	}
}
