package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/types"
	"cairn/wallet"
)

func (a *app) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "history [ACCOUNT]",
		Short:   "List what happened to an account",
		GroupID: groupMoney,
		Long: `Lists what came into an account and left it, without ACCOUNT of the wallet's
first: what is pending, then what is confirmed, the latest first, with the block,
its confirmations, the change of the balance (fees included) and who was on the
other side.`,
		Example: `  cairn history
  cairn history savings --limit 100
  cairn history harbour1… --json`,
		Args: cobra.MaximumNArgs(1),
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansJSON)
	cmd.Flags().IntVar(&limit, "limit", 20, "most `lines`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 {
			return usageError("--limit %d: it is at least 1", limit)
		}
		c, b, err := m.look(cmd.Context(), len(args) > 0)
		if err != nil {
			return err
		}
		entry := wallet.Entry{}
		if len(args) == 0 {
			entry = b.main()
		} else if entry, err = b.find(args[0]); err != nil {
			return err
		}
		lines, err := m.history(cmd.Context(), c, b, entry.Account, limit)
		if err != nil {
			return err
		}
		if m.json {
			return a.printJSON(historyView{b.Name, b.Symbol, b.accountView(entry), lines})
		}
		return m.printHistory(b, entry, lines)
	}
	return cmd
}

// historyView is the answer of `cairn history` in JSON.
type historyView struct {
	Network string        `json:"network"`
	Symbol  string        `json:"symbol"`
	Account accountView   `json:"account"`
	Entries []historyLine `json:"entries"`
}

// historyLine is one thing that happened to an account.
type historyLine struct {
	Kind          string     `json:"kind"` // transfer or reward
	ID            types.Hash `json:"id"`
	Status        string     `json:"status"` // pending or confirmed
	Time          uint32     `json:"time,omitempty"`
	Height        uint32     `json:"height,omitempty"`
	Confirmations uint32     `json:"confirmations"`
	Change        string     `json:"change"` // coins
	With          string     `json:"with,omitempty"`
	WithName      string     `json:"with_name,omitempty"`
	Memo          string     `json:"memo,omitempty"`
	MemoHex       string     `json:"memo_hex,omitempty"`

	change int64
}

// history returns at most limit lines, the pending ones first.
func (m *means) history(ctx context.Context, c *client.Client, b book, account types.Account, limit int) ([]historyLine, error) {
	address := b.FormatAccount(account)
	waiting, err := c.AccountWaiting(ctx, address)
	if err != nil {
		return nil, m.asked(err)
	}
	lines := []historyLine{}
	for _, p := range waiting[:min(len(waiting), limit)] {
		l := historyLine{Kind: "transfer", ID: p.Transfer.ID, Status: string(client.Pending), change: changeOf(&p.Transfer, address)}
		b.describe(&l, &p.Transfer, address)
		lines = append(lines, l)
	}
	for e, err := range c.AccountHistory(ctx, address) {
		if err != nil {
			return nil, m.asked(err)
		}
		if len(lines) >= limit {
			break
		}
		l := historyLine{Kind: e.Kind, ID: e.ID, Status: string(client.Confirmed), Time: e.Block.Time, Height: e.Block.Height,
			Confirmations: e.Confirmations, change: e.Change}
		b.describe(&l, e.Transfer, address)
		lines = append(lines, l)
	}
	return lines, nil
}

// changeOf returns what a transfer does to the balance of an account.
func changeOf(t *client.TransferData, address string) (change int64) {
	if t.Sender == address {
		change -= int64(t.Amount + t.Fee)
	}
	if t.Recipient == address {
		change += int64(t.Amount)
	}
	return change
}

// describe fills in what a line says of its transfer; nil for a reward.
func (b book) describe(l *historyLine, t *client.TransferData, address string) {
	l.Change = b.FormatBalance(l.change)
	if t == nil {
		return
	}
	l.Memo, l.MemoHex, l.With = t.Memo, t.MemoHex, t.Sender
	if t.Sender == address {
		l.With = t.Recipient
	}
	if b.wallet != nil {
		if e, err := b.wallet.Account(l.With); err == nil {
			l.WithName = e.Name
		}
	}
}

func (m *means) printHistory(b book, of wallet.Entry, lines []historyLine) error {
	if len(lines) == 0 {
		m.say("Nothing has happened to %s yet.", b.full(of.Account))
		return nil
	}
	rows := []string{"TIME\tHEIGHT\tCONFIRMATIONS\tCHANGE\tWITH\tMEMO\tID"}
	for i := range lines {
		l := &lines[i]
		when, height := "pending", ""
		if l.Status != string(client.Pending) {
			when, height = time.Unix(int64(l.Time), 0).Format("2006-01-02 15:04:05"), fmt.Sprint(l.Height)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s\t%s\t%s\t%v", when, height, l.Confirmations, b.signed(l.change), l.other(), l.memo(), l.ID))
	}
	return table(m.a.stdout, rows...)
}

func (l *historyLine) other() string {
	switch {
	case l.Kind == "reward":
		return "reward for a block"
	case l.WithName != "":
		return l.WithName
	}
	return printable(l.With)
}

func (l *historyLine) memo() string {
	if l.MemoHex != "" {
		return "0x" + l.MemoHex
	}
	return printable(l.Memo)
}
