package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/types"
)

// outcome is what became of a transfer of the outbox.
type outcome struct {
	transfer types.Transfer
	data     client.TransactionData
	refused  error // when it was sent again
}

// settle asks the node about every transfer of the outbox, sends again what it does
// not know, and says what it found. Nothing is forgotten yet.
func (m *means) settle(ctx context.Context, c *client.Client, b book) ([]outcome, error) {
	var all []outcome
	for _, t := range b.wallet.Outbox() {
		d, err := c.Transaction(ctx, t.ID(), t.Expiry)
		if err != nil {
			return nil, m.asked(err)
		}
		o := outcome{transfer: t, data: d}
		if d.Status == client.Unknown {
			_, err := c.Submit(ctx, t.Append(nil))
			if err != nil && !refusedForGood(err) {
				return nil, m.keptError(b, &t, "not sent again", err)
			}
			o.refused = err
		}
		m.say("From the outbox: %s to %s (%v) %s", b.coins(t.Amount), b.name(t.Recipient), t.ID(), m.saySettled(b, &o))
		all = append(all, o)
	}
	return all, nil
}

func (m *means) saySettled(b book, o *outcome) string {
	switch {
	case o.data.Status == client.Confirmed:
		return fmt.Sprintf("was confirmed by block %d.", o.data.Block.Height)
	case o.data.Status == client.Lapsed && !o.over():
		return fmt.Sprintf("expired at height %d without a block, which is certain at %d.", o.transfer.Expiry, uint64(o.transfer.Expiry)+lapseDepth)
	case o.data.Status == client.Lapsed:
		return fmt.Sprintf("expired at height %d and was not paid.", o.transfer.Expiry)
	case o.data.Status == client.Pending:
		return "waits for a block."
	case o.refused != nil:
		return fmt.Sprintf("was sent again and refused: %v%s. It is kept until height %d, since another node may have it.",
			o.refused, b.valuesOf(o.refused), o.transfer.Expiry)
	}
	return "was sent again."
}

// over tells whether a transfer needs no more of us.
func (o *outcome) over() bool {
	return o.data.Status == client.Confirmed || expired(&o.transfer, &o.data)
}

// forgetSettled takes out of the outbox what is over.
func (m *means) forgetSettled(b book, all []outcome) error {
	for i := range all {
		if all[i].over() {
			if err := m.forget(b, all[i].transfer.ID()); err != nil {
				return err
			}
		}
	}
	return nil
}

// clearOutbox settles the outbox before a payment. When it holds the same payment,
// be it confirmed by now, then whoever sends may only want to repeat what failed, and
// is asked; until that is answered it stays there.
func (m *means) clearOutbox(ctx context.Context, c *client.Client, b book, o order, s *sendOptions) error {
	all, err := m.settle(ctx, c, b)
	if err != nil {
		return err
	}
	for i := range all {
		t := &all[i].transfer
		if !o.samePayment(t) || expired(t, &all[i].data) || s.again {
			continue
		}
		warning := fmt.Sprintf("%v pays the same amount to the same account with the same memo already: this would be a second payment.", t.ID())
		if s.yes {
			return usageError("%s To follow the first one: cairn resend. For a second one: --again", warning)
		}
		m.say("%s", warning)
		if err := m.a.confirm(ctx, "Pay a second time?", "--again"); err != nil {
			return err
		}
		s.again = true
	}
	return m.forgetSettled(b, all)
}

// samePayment tells whether a transfer pays what is ordered.
func (o *order) samePayment(t *types.Transfer) bool {
	return t.Recipient == o.to.Account && t.Amount == o.amount && t.Memo == o.memo
}

// remember puts a transfer into the outbox. What is there of the same payment now was
// not a moment ago: another command pays it.
func (m *means) remember(b book, o order, t *types.Transfer, again bool) error {
	if err := b.wallet.Remember(*t); err != nil || again {
		return err
	}
	for _, other := range b.wallet.Outbox() {
		if id := other.ID(); id != t.ID() && o.samePayment(&other) {
			return errors.Join(fmt.Errorf("another command is making the same payment, %v: follow it with \"cairn resend\"; for a second one: --again", id),
				b.wallet.Forget(t.ID()))
		}
	}
	return nil
}

func (a *app) resendCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:     "resend",
		Short:   "Send again what is not confirmed yet, and follow it",
		GroupID: groupMoney,
		Long: `Asks the node about every transfer in the wallet's outbox, sends those again that
it does not know, the same bytes as before, and follows them until each is
confirmed or has expired. No passphrase is needed, since nothing is signed.`,
		Example: `  cairn resend
  cairn resend --no-wait --node http://192.168.1.7:5000`,
		Args: cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansJSON)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "end when the node has them, without waiting for blocks")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		w, err := m.open()
		if err != nil {
			return err
		}
		b := book{w.Rules(), w}
		c, err := m.client()
		if err != nil {
			return err
		}
		if _, err := m.onNetwork(ctx, c, b.Rules, "the wallet"); err != nil {
			return err
		}
		all, err := m.settle(ctx, c, b)
		if err == nil {
			err = m.forgetSettled(b, all)
		}
		if err != nil {
			return err
		}
		if len(all) == 0 {
			m.say("The outbox is empty.")
		}
		return m.followAll(ctx, c, b, all, noWait)
	}
	return cmd
}

// followAll follows what is not over, one after the other. Its error is that of
// everything that was not paid.
func (m *means) followAll(ctx context.Context, c *client.Client, b book, all []outcome, noWait bool) error {
	var errs []error
	views := []sentView{}
	for i := range all {
		o := &all[i]
		switch {
		case expired(&o.transfer, &o.data):
			errs = append(errs, fmt.Errorf("%v %w", o.transfer.ID(), errLapsed))
		case o.refused != nil:
			errs = append(errs, m.keptError(b, &o.transfer, "refused", o.refused))
		case !o.over() && !noWait:
			d, err := m.follow(ctx, c, b, &o.transfer, 1)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			o.data = *d
		}
		if o.data.Status == client.Unknown && o.refused == nil {
			o.data.Status = client.Pending // it was sent again
		}
		views = append(views, b.sentView(&o.transfer, &o.data))
	}
	if m.json {
		errs = append(errs, m.a.printJSON(views))
	}
	return errors.Join(errs...)
}

func (a *app) outboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "outbox",
		Short:   "List the signed transfers that may not be confirmed yet",
		GroupID: groupMoney,
		Long:    `Lists the wallet's outbox. No node is asked: "cairn resend" finds out what became of them.`,
		Example: "  cairn outbox",
		Args:    cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansWallet, meansJSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		w, err := m.open()
		if err != nil {
			return err
		}
		b := book{w.Rules(), w}
		views, rows := []sentView{}, []string{"AMOUNT\tTO\tMEMO\tEXPIRES AT HEIGHT\tID"}
		for _, t := range w.Outbox() {
			views = append(views, b.sentView(&t, &client.TransactionData{Status: client.Unknown}))
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%d\t%v", b.coins(t.Amount), b.name(t.Recipient), printable(t.Memo), t.Expiry, t.ID()))
		}
		if m.json {
			return a.printJSON(views)
		}
		if len(views) == 0 {
			m.say("The outbox is empty.")
			return nil
		}
		return table(a.stdout, rows...)
	}
	return cmd
}
