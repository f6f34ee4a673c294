package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cairn/consensus"
	"cairn/node"
	"cairn/proof"
)

func (a *app) verifyProofCommand() *cobra.Command {
	var network string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify-proof FILE",
		Short:   "Check a proof of a payment, a balance or a block, offline",
		GroupID: groupMoney,
		Long: `Checks a proof document without asking any node: headers and their proof of
work, and what is shown to be under them. A node gives such documents at
/v1/transactions/ID/proof, /v1/accounts/ACCOUNT/proof and /v1/blocks/BLOCK/proof.

What is to be trusted is the genesis file alone. Name it with --network;
without that the one in the document is taken, and its chain ID is printed for
you to compare with one that you have from elsewhere.

A proof shows how much work stands on a thing, and that is how sure it is:
somebody with as much work could make another. It does not show that no heavier
chain exists.

Exit codes: 0 it holds; 1 it does not; 2 it could not be checked.`,
		Example: `  cairn verify-proof payment.json --network stones.json
  curl -s 'http://127.0.0.1:5000/v1/transactions/ID/proof' | cairn verify-proof -`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&network, "network", "", "genesis `file` of the network that the proof must be for, or dev")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		document, err := a.readFile(args[0], proof.MaxSize)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		var trusted *consensus.Rules
		if network != "" {
			if trusted, err = node.LoadNetwork(network); err != nil {
				return &codeError{exitUsage, err}
			}
		}
		d, err := proof.Parse(document)
		if err != nil {
			return err
		}
		result, err := d.Verify(trusted, uint64(time.Now().Unix()))
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(shownBy(d.Rules, &result))
		}
		return printProof(a.stdout, d.Rules, &result, trusted != nil)
	}
	return cmd
}

// readFile reads a file of at most limit bytes, standard input for "-".
func (a *app) readFile(name string, limit int) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// shown is what a proof shows, in JSON.
type shown struct {
	Network     string         `json:"network"`
	ChainID     string         `json:"chain_id"`
	FromGenesis bool           `json:"from_genesis"`
	Tip         string         `json:"tip"`
	Height      uint32         `json:"height"`
	Transfer    *shownTransfer `json:"transfer,omitempty"`
	Block       *shownPlace    `json:"block,omitempty"`
	Account     *shownAccount  `json:"account,omitempty"`
}

type shownTransfer struct {
	ID        string `json:"id"`
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Amount    string `json:"amount"` // coins
	Memo      string `json:"memo"`
}

type shownPlace struct {
	Hash          string `json:"hash"`
	Height        uint32 `json:"height"`
	Time          uint32 `json:"time"`
	Confirmations uint32 `json:"confirmations"`
	WorkOnTop     string `json:"work_on_top"` // hashes, a decimal number
}

type shownAccount struct {
	Account string     `json:"account"`
	Balance string     `json:"balance"` // coins
	After   shownPlace `json:"after"`
}

func shownBy(rules *consensus.Rules, r *proof.Result) shown {
	s := shown{Network: r.Name, ChainID: r.ChainID.String(), FromGenesis: r.FromGenesis, Tip: r.Tip.Hash.String(), Height: r.Tip.Height}
	if t := r.Transfer; t != nil {
		s.Transfer = &shownTransfer{
			r.TransferID.String(), rules.FormatAccount(t.Sender), rules.FormatAccount(t.Recipient), rules.FormatAmount(t.Amount), t.Memo,
		}
	}
	if r.Confirmations > 0 {
		place := shownAt(r.Place)
		s.Block = &place
	}
	if r.Account != "" {
		s.Account = &shownAccount{rules.FormatAccount(r.Account), rules.FormatBalance(r.Balance), shownAt(r.BalanceAt)}
	}
	return s
}

func shownAt(p proof.Place) shownPlace {
	return shownPlace{p.BlockHash.String(), p.Height, p.BlockTime, p.Confirmations, p.WorkOnTop.String()}
}

func printProof(w io.Writer, rules *consensus.Rules, r *proof.Result, trusted bool) error {
	var err error
	line := func(format string, args ...any) {
		_, e := fmt.Fprintf(w, format+"\n", args...)
		err = errors.Join(err, e)
	}
	line("The proof holds, on the network %s.", r.Name)
	if !trusted {
		line("  Compare its chain ID with one that you trust: %s", r.ChainID)
	}
	if t := r.Transfer; t != nil {
		line("  transfer    %s", r.TransferID)
		line("  from        %s", rules.FormatAccount(t.Sender))
		line("  to          %s", rules.FormatAccount(t.Recipient))
		line("  amount      %s %s", rules.FormatAmount(t.Amount), rules.Symbol)
		if t.Memo != "" {
			line("  memo        %q", t.Memo)
		}
	}
	place := func(p proof.Place) {
		line("  in block    %d, %s, of %s", p.Height, p.BlockHash, time.Unix(int64(p.BlockTime), 0).UTC().Format(time.DateTime+" UTC"))
		line("  on top      %d confirmations; the headers here took about %s hashes", p.Confirmations, p.WorkOnTop)
	}
	if r.Confirmations > 0 {
		place(r.Place)
	}
	if r.Account != "" {
		line("  account     %s", rules.FormatAccount(r.Account))
		line("  balance     %s %s, after the block below", rules.FormatBalance(r.Balance), rules.Symbol)
		place(r.BalanceAt)
	}
	if r.FromGenesis {
		line("  All headers from genesis are in it: to forge it costs as much work as the whole chain.")
	} else {
		line("  It has a few headers: to forge it costs no more than their work.")
	}
	return err
}
