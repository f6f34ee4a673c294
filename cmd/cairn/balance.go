package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/types"
	"cairn/wallet"
)

func (a *app) balanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "balance [ACCOUNT...]",
		Short:   "Say what accounts hold",
		GroupID: groupMoney,
		Long: `Says what accounts hold: confirmed by the best block; spendable now, which is
that less what is on its way out; and what is pending in and out. Without
ACCOUNT it is all of the wallet's, and those that it watches. An account is a name in the wallet or
an address; for an address, and where accounts are names, no wallet is needed.`,
		Example: `  cairn balance
  cairn balance savings harbour1…
  cairn balance addr1 --node http://192.168.1.7:5000 --json`,
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, b, err := m.look(cmd.Context(), len(args) > 0)
		if err != nil {
			return err
		}
		entries, err := b.entries(args)
		if err != nil {
			return err
		}
		r, err := m.balances(cmd.Context(), c, b, entries)
		if err != nil {
			return err
		}
		if m.json {
			return a.printJSON(r)
		}
		return m.printBalances(b, r)
	}
	return cmd
}

// entries returns the accounts that are named, without names all of the wallet's.
func (b book) entries(named []string) ([]wallet.Entry, error) {
	if len(named) == 0 {
		return append(b.wallet.Accounts(), b.wallet.Watched()...), nil
	}
	var entries []wallet.Entry
	for _, text := range named {
		e, err := b.find(text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// balanceView is the answer of `cairn balance` in JSON. Amounts are coins, as text so
// that no tool rounds them.
type balanceView struct {
	Network  string           `json:"network"`
	ChainID  types.Hash       `json:"chain_id"`
	Symbol   string           `json:"symbol"`
	Height   uint32           `json:"height"`
	Accounts []accountBalance `json:"accounts"`
	Total    *accountMoney    `json:"total,omitempty"` // of the wallet's own, when all are listed

	total client.AccountData
	data  []client.AccountData
}

type accountBalance struct {
	accountView
	accountMoney
}

type accountMoney struct {
	Confirmed string `json:"confirmed"`
	Spendable string `json:"spendable"`
	Incoming  string `json:"incoming"`
	Outgoing  string `json:"outgoing"`
}

func (b book) money(d *client.AccountData) accountMoney {
	return accountMoney{b.FormatBalance(d.Balance), b.FormatAmount(d.Spendable),
		b.FormatBalance(d.Pending.Incoming), b.FormatBalance(d.Pending.Outgoing)}
}

// balances asks the node for the accounts. Of the wallet's own it adds up a total, if
// there are several.
func (m *means) balances(ctx context.Context, c *client.Client, b book, entries []wallet.Entry) (*balanceView, error) {
	r := &balanceView{Network: b.Name, ChainID: b.ChainID(), Symbol: b.Symbol, Accounts: []accountBalance{}}
	own := 0
	for _, e := range entries {
		d, err := c.AccountData(ctx, b.FormatAccount(e.Account))
		if err != nil {
			return nil, m.asked(err)
		}
		r.Height = d.Height
		r.data = append(r.data, d)
		r.Accounts = append(r.Accounts, accountBalance{b.accountView(e), b.money(&d)})
		if e.Own {
			own++
			r.total.Balance += d.Balance
			r.total.Spendable += d.Spendable
			r.total.Pending.Incoming += d.Pending.Incoming
			r.total.Pending.Outgoing += d.Pending.Outgoing
		}
	}
	if own > 1 {
		total := b.money(&r.total)
		r.Total = &total
	}
	return r, nil
}

func (m *means) printBalances(b book, r *balanceView) error {
	rows := []string{"ACCOUNT\tCONFIRMED\tSPENDABLE\tPENDING"}
	row := func(name string, d *client.AccountData) {
		rows = append(rows, fmt.Sprintf("%s\t%s %s\t%s\t%s", name, b.FormatBalance(d.Balance), b.Symbol, b.coins(d.Spendable), b.pending(d)))
	}
	for i, v := range r.Accounts {
		name := v.Name
		if name == "" {
			name = printable(v.Address)
		}
		if !v.Own && v.Name != "" {
			name += " (watched)"
		}
		row(name, &r.data[i])
	}
	if r.Total != nil {
		row("total of your own", &r.total)
	}
	if err := table(m.a.stdout, rows...); err != nil {
		return err
	}
	m.say("At height %d of %s.", r.Height, b.Name)
	return nil
}

// pending says what is on its way in and out.
func (b book) pending(d *client.AccountData) string {
	var parts []string
	if d.Pending.Incoming != 0 {
		parts = append(parts, b.signed(d.Pending.Incoming))
	}
	if d.Pending.Outgoing != 0 {
		parts = append(parts, b.signed(-d.Pending.Outgoing))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
