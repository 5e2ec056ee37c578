// sdk is Cosmos SDK v0.53's own command line, made of its client packages as `simd` is: keys, bank transfers, signing as
// files, broadcasting, transactions. Nothing in it is ours but the program's name and the address prefix.
package main

import (
	"fmt"
	"os"

	"cosmossdk.io/x/tx/signing"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/client/rpc"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/std"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/version"
	authcli "github.com/cosmos/cosmos-sdk/x/auth/client/cli"
	"github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	bankcli "github.com/cosmos/cosmos-sdk/x/bank/client/cli"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/spf13/cobra"
)

const prefix = "virtengine"

func main() {
	if err := root().Execute(); err != nil {
		os.Exit(1)
	}
}

func root() *cobra.Command {
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(prefix, prefix+"pub")
	c.SetBech32PrefixForValidator(prefix+"valoper", prefix+"valoperpub")
	c.SetBech32PrefixForConsensusNode(prefix+"valcons", prefix+"valconspub")
	c.Seal()
	// The name of the keyring in a secret service.
	version.Name = prefix

	accounts, validators := address.NewBech32Codec(prefix), address.NewBech32Codec(prefix+"valoper")
	registry, err := types.NewInterfaceRegistryWithOptions(types.InterfaceRegistryOptions{
		ProtoFiles:     proto.HybridResolver,
		SigningOptions: signing.Options{AddressCodec: accounts, ValidatorAddressCodec: validators},
	})
	if err != nil {
		panic(err)
	}
	amino := codec.NewLegacyAmino()
	std.RegisterInterfaces(registry)
	std.RegisterLegacyAminoCodec(amino)
	authtypes.RegisterInterfaces(registry)
	authtypes.RegisterLegacyAminoCodec(amino)
	banktypes.RegisterInterfaces(registry)
	banktypes.RegisterLegacyAminoCodec(amino)
	cdc := codec.NewProtoCodec(registry)

	initial := client.Context{}.
		WithCodec(cdc).WithInterfaceRegistry(registry).WithLegacyAmino(amino).
		WithTxConfig(tx.NewTxConfig(cdc, tx.DefaultSignModes)).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithInput(os.Stdin).WithViper("")

	cmd := &cobra.Command{
		Use:          "sdk",
		SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			ctx, err := client.ReadPersistentCommandFlags(initial.WithCmdContext(cmd.Context()), cmd.Flags())
			if err != nil {
				return err
			}
			if ctx, err = config.ReadFromClientConfig(ctx); err != nil {
				return err
			}
			return client.SetCmdClientContextHandler(ctx, cmd)
		},
	}
	cmd.PersistentFlags().String(flags.FlagHome, os.ExpandEnv("$HOME/.sdk-client"), "where configuration and keys are")
	cmd.PersistentFlags().String(flags.FlagChainID, "", "the network's chain id")

	txs := &cobra.Command{Use: "tx"}
	txs.AddCommand(
		bankcli.NewTxCmd(accounts), authcli.GetSignCommand(), authcli.GetMultiSignCommand(), authcli.GetValidateSignaturesCommand(),
		authcli.GetBroadcastCommand(), authcli.GetEncodeCommand(), authcli.GetDecodeCommand(), authcli.GetSimulateCmd(),
	)
	queries := &cobra.Command{Use: "query"}
	queries.AddCommand(authcli.QueryTxCmd(), authcli.QueryTxsByEventsCmd(), rpc.WaitTxCmd(), rpc.ValidatorCommand(), balance())
	cmd.AddCommand(keys.Commands(), txs, queries)
	return cmd
}

// balance asks as the SDK's clients do: a gRPC client over abci_query.
func balance() *cobra.Command {
	cmd := &cobra.Command{
		Use:  "balance ADDRESS DENOM",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, err := client.GetClientQueryContext(cmd)
			if err != nil {
				return err
			}
			answer, err := banktypes.NewQueryClient(ctx).Balance(cmd.Context(), &banktypes.QueryBalanceRequest{Address: args[0], Denom: args[1]})
			if err != nil {
				return err
			}
			fmt.Println(answer.Balance)
			return nil
		},
	}
	flags.AddQueryFlagsToCmd(cmd)
	return cmd
}
