package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/types"
)

func (a *app) proofCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "proof",
		Short:   "Fetch a proof that others can check without a node",
		GroupID: groupMoney,
		Long: `Fetches a document which shows that a transfer, a balance or a block is on the
best chain, to whoever has nothing but the genesis file: "cairn verify-proof"
checks it, offline. With --few, and of a block always, it holds few headers and is
small; otherwise all from genesis.`,
		Example: `  cairn proof transaction 64-HEX-DIGITS -o payment.proof
  cairn proof account harbour1… -o balance.proof --few
  cairn proof block 1000 -o block.proof
  cairn verify-proof payment.proof`,
	})
	cmd.AddCommand(
		a.proofOf("transaction ID", "Prove that a block holds a transfer", func(ctx context.Context, _ *means, c *client.Client, text string, few bool) ([]byte, error) {
			id, err := types.ParseHash(text)
			if err != nil {
				return nil, &codeError{exitUsage, fmt.Errorf("the ID of a transfer: %w; \"cairn history\" lists them", err)}
			}
			return c.TransactionProof(ctx, id, few)
		}),
		a.proofOf("account ACCOUNT", "Prove what an account holds", func(ctx context.Context, m *means, c *client.Client, text string, few bool) ([]byte, error) {
			_, b, err := m.look(ctx, true)
			if err != nil {
				return nil, err
			}
			e, err := b.find(text)
			if err != nil {
				return nil, err
			}
			return c.AccountProof(ctx, b.FormatAccount(e.Account), few)
		}),
		a.proofOf("block HEIGHT", "Prove that a block is on the chain", func(ctx context.Context, _ *means, c *client.Client, text string, _ bool) ([]byte, error) {
			return c.BlockProof(ctx, text)
		}))
	return cmd
}

// proofOf makes a command that fetches one kind of proof.
func (a *app) proofOf(use, short string, fetch func(ctx context.Context, m *means, c *client.Client, text string, few bool) ([]byte, error)) *cobra.Command {
	var out string
	var few bool
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}
	m := a.useMeans(cmd, meansNode, meansWallet)
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` to write, - for standard output")
	if !strings.HasPrefix(use, "block") { // it has few ever
		cmd.Flags().BoolVar(&few, "few", false, "with few headers instead of all")
	}
	_ = cmd.MarkFlagRequired("out") // fails for flags that are not there
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		document, err := fetch(cmd.Context(), m, c, args[0], few)
		if err != nil {
			return m.asked(err)
		}
		if err := a.writeNew(out, document, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "Wrote %s, %d bytes. To check it: cairn verify-proof %s\n", out, len(document), out)
		return nil
	}
	return cmd
}
