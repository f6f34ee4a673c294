package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/mempool"
	"cairn/types"
	"cairn/wallet"
)

// sendOptions are the flags of `cairn send`.
type sendOptions struct {
	from, memo, fee  string
	memoGiven        bool
	within           uint32
	expireIn, expiry uint32 // blocks; height
	confirmations    uint32
	yes, again       bool
	noWait           bool
	unsigned         string
}

func (a *app) sendCommand() *cobra.Command {
	var s sendOptions
	cmd := &cobra.Command{
		Use:     "send AMOUNT TO | URI",
		Short:   "Pay, and follow the payment until it is confirmed",
		GroupID: groupMoney,
		Long: `Pays AMOUNT coins to an account: a name in the wallet, an address, or a payment
URI as "cairn receive" prints it, which may hold the amount and a memo.

The transfer is signed once and kept in the wallet's outbox until a block holds
it or it has expired, and only ever the same bytes are sent again: nobody is paid
twice. What an earlier command left in the outbox is sent again first. After a
network error use "cairn resend".

With --unsigned FILE nothing is signed or sent: the file goes to the machine that
has the keys ("cairn sign"), and comes back to be sent ("cairn submit").`,
		Example: `  cairn send 2.5 shop
  cairn send 2.5 harbour1… --memo "Order 7" --confirmations 6
  cairn send 'cairn:harbour1…?amount=2.5&message=Order%207'
  cairn send 2.5 shop --yes --passphrase-file passphrase.txt --json
  cairn send 2.5 shop --from savings --unsigned payment.json`,
		Args: cobra.RangeArgs(1, 2),
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansPassphrase, meansJSON)
	f := cmd.Flags()
	f.StringVar(&s.from, "from", "", "`account` that pays (default: the wallet's first)")
	f.StringVar(&s.memo, "memo", "", "`text` for the recipient, which everyone can read; at most 255 bytes")
	f.StringVar(&s.fee, "fee", "", "`coins` for whoever mines it (default: what the node proposes)")
	f.Uint32Var(&s.within, "within", 2, "`blocks` within which the fee should bring it into one")
	f.Uint32Var(&s.expireIn, "expire-in", 100, "`blocks` after which no block may hold it any more")
	f.Uint32Var(&s.expiry, "expiry", 0, "`height` of the last block that may hold it, instead of --expire-in")
	f.Uint32Var(&s.confirmations, "confirmations", 1, "`blocks` to wait for, the one that holds it included")
	f.BoolVar(&s.noWait, "no-wait", false, "end when the node has it, without waiting for a block")
	f.BoolVar(&s.yes, "yes", false, "do not ask")
	f.BoolVar(&s.again, "again", false, "pay although the same payment is still in the outbox")
	f.StringVar(&s.unsigned, "unsigned", "", "write the transfer to a `file` for \"cairn sign\" instead")
	cmd.MarkFlagsMutuallyExclusive("expire-in", "expiry")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s.memoGiven = f.Changed("memo")
		w, err := m.open()
		if err != nil {
			return err
		}
		b := book{w.Rules(), w}
		o, err := m.order(b, args, &s)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		if s.unsigned != "" {
			return m.writeUnsigned(cmd.Context(), b, o, &s)
		}
		return m.send(cmd.Context(), b, o, &s)
	}
	return cmd
}

// order is a payment as it was asked for.
type order struct {
	from, to wallet.Entry
	amount   uint64
	memo     string
}

// order reads the arguments and checks all that can be told without a node.
func (m *means) order(b book, args []string, s *sendOptions) (o order, err error) {
	target := args[len(args)-1]
	amount := ""
	if len(args) == 2 {
		amount = args[0]
	}
	o.from = b.main()
	if s.from != "" {
		if o.from, err = b.find(s.from); err != nil {
			return o, fmt.Errorf("--from: %w", err)
		}
	}
	if !o.from.Own && s.unsigned == "" {
		return o, fmt.Errorf("%w: %s, so it cannot pay from here; --unsigned FILE writes the transfer for the machine that has its key", wallet.ErrNotOurs, b.full(o.from.Account))
	}
	if strings.Contains(target, ":") {
		err = m.orderURI(b, &o, target, amount)
	} else {
		err = o.plain(b, target, amount)
	}
	if err != nil {
		return o, err
	}
	if s.memoGiven {
		o.memo = s.memo
	}
	if uint64(s.expireIn) > uint64(b.TxLifetime) || s.expireIn == 0 {
		return o, fmt.Errorf("--expire-in %d: on %s it is 1 to %d blocks", s.expireIn, b.Name, b.TxLifetime)
	}
	if s.within == 0 || s.confirmations == 0 {
		return o, errors.New("--within and --confirmations are at least 1")
	}
	_, err = wallet.Build(b.Rules, o.from.Account, o.to.Account, o.amount, 0, o.memo, 1)
	return o, err
}

func (o *order) plain(b book, target, amount string) (err error) {
	if amount == "" {
		return fmt.Errorf("%s is no payment URI: cairn send AMOUNT TO, or cairn send URI", printable(target))
	}
	if o.to, err = b.find(target); err != nil {
		return err
	}
	return o.setAmount(b, amount)
}

func (o *order) setAmount(b book, text string) (err error) {
	if o.amount, err = b.ParseAmount(text); err != nil {
		return err
	}
	if o.amount == 0 {
		return errors.New("the amount is 0: nothing would be paid")
	}
	return nil
}

// orderURI reads a payment URI; an amount beside it is for one without.
func (m *means) orderURI(b book, o *order, uri, amount string) error {
	p, err := wallet.ParseURI(b.Rules, uri)
	if err != nil {
		return err
	}
	if o.to, err = b.find(b.FormatAccount(p.Recipient)); err != nil {
		return err
	}
	o.amount, o.memo = p.Amount, p.Memo()
	if p.Label != "" {
		m.say("The URI says that %s is paid. Whether that is so, it cannot prove.", printable(p.Label))
	}
	if p.Message != "" && o.memo == "" {
		m.say("Its message is too long for a memo and is left out: %s", printable(p.Message))
	}
	switch {
	case amount == "" && p.Amount == 0:
		return errors.New("the URI asks for no amount: cairn send AMOUNT URI")
	case amount == "":
		return nil
	}
	if err := o.setAmount(b, amount); err != nil {
		return err
	}
	if p.Amount != 0 && o.amount != p.Amount {
		return fmt.Errorf("the URI asks for %s, and %s was given: leave one of them out", b.coins(p.Amount), b.coins(o.amount))
	}
	return nil
}

// send pays.
func (m *means) send(ctx context.Context, b book, o order, s *sendOptions) error {
	if !s.yes && !isTerminal(m.a.stdin) {
		return usageError("before it pays, it shows what it would do and asks; nobody is there to answer: --yes goes on without asking")
	}
	if _, err := m.passphraseGiven(); err != nil {
		return err
	}
	c, err := m.client()
	if err != nil {
		return err
	}
	status, err := m.onNetwork(ctx, c, b.Rules, "the wallet")
	if err != nil {
		return err
	}
	if err := m.clearOutbox(ctx, c, b, o, s); err != nil {
		return err
	}
	t, err := m.prepare(ctx, c, b, o, s, status.Height)
	if err != nil {
		return err
	}
	account, err := c.AccountData(ctx, b.FormatAccount(t.Sender))
	if err != nil {
		return m.asked(err)
	}
	needed := t.Amount + t.Fee
	if needed > account.Spendable {
		return fmt.Errorf("%w: %s can spend %s now, the payment takes %s with its fee; send less, or wait for income to be confirmed",
			client.ErrInsufficient, b.name(t.Sender), b.coins(account.Spendable), b.coins(needed))
	}
	m.showTransfer(b, &t)
	m.say("  after    %s left to spend", b.coins(account.Spendable-needed))
	m.say("  expires  at height %d, in about %s", t.Expiry, span(uint64(t.Expiry-min(t.Expiry, status.Height))*uint64(b.BlockInterval)))
	if !s.yes {
		if err := m.a.confirm(ctx, "Send it?", "--yes"); err != nil {
			return err
		}
	}
	if err := m.sign(ctx, b, &t); err != nil {
		return err
	}
	return m.deliver(ctx, c, b, o, &t, s)
}

// sign unlocks the wallet and signs.
func (m *means) sign(ctx context.Context, b book, t *types.Transfer) error {
	keys, err := m.unlock(ctx, b.wallet)
	if err != nil {
		return err
	}
	return keys.Sign(b.Rules, t)
}

// prepare builds the transfer, with a fee and an expiry as the flags and the node
// say.
func (m *means) prepare(ctx context.Context, c *client.Client, b book, o order, s *sendOptions, height uint32) (types.Transfer, error) {
	expiry := s.expiry
	if expiry == 0 {
		expiry = height + s.expireIn
	}
	t, err := wallet.Build(b.Rules, o.from.Account, o.to.Account, o.amount, 0, o.memo, expiry)
	if err != nil {
		return t, &codeError{exitUsage, err}
	}
	if s.fee != "" {
		if t.Fee, err = b.ParseAmount(s.fee); err != nil {
			return t, usageError("--fee: %w", err)
		}
		return t, nil
	}
	fees, err := c.Fees(ctx)
	if err != nil {
		return t, m.asked(err)
	}
	t.Fee = mempool.Limits{MinFeeRate: rateWithin(&fees, s.within)}.MinFee(t.Size())
	if t.Fee > t.Amount {
		return t, fmt.Errorf("the node proposes a fee of %s, more than the payment: if that is right, give it with --fee %s", b.coins(t.Fee), b.FormatAmount(t.Fee))
	}
	return t, nil
}

// rateWithin returns the fee rate for a place within so many blocks: the estimate for
// as many or the next fewer.
func rateWithin(fees *client.Fees, blocks uint32) uint64 {
	rate := fees.Least
	for i, e := range fees.Estimates {
		if i == 0 || e.Blocks <= blocks {
			rate = max(fees.Least, e.Rate)
		}
	}
	return rate
}

// showTransfer says what a transfer does.
func (m *means) showTransfer(b book, t *types.Transfer) {
	m.say("  from     %s", b.full(t.Sender))
	m.say("  to       %s", b.full(t.Recipient))
	m.say("  amount   %s", b.coins(t.Amount))
	m.say("  fee      %s", b.coins(t.Fee))
	if t.Memo != "" {
		m.say("  memo     %s", printable(t.Memo))
	}
}

// deliver sends a signed transfer for the first time, and follows it. The node is
// asked what it thinks first: what it would refuse never was on its way.
func (m *means) deliver(ctx context.Context, c *client.Client, b book, o order, t *types.Transfer, s *sendOptions) error {
	encoding := t.Append(nil)
	checked, err := c.Check(ctx, encoding)
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", m.asked(err))
	}
	if p := checked.Problem; p != nil {
		return fmt.Errorf("nothing was sent, because the node would refuse it: %w%s", p, b.valuesOf(p))
	}
	if err := m.remember(b, o, t, s.again); err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	if _, err := c.Submit(ctx, encoding); err != nil {
		return m.keptError(b, t, "it may or may not have reached the node", err)
	}
	if s.noWait {
		m.say("The node has it: %v. It stays in the outbox; \"cairn resend\" follows it.", t.ID())
		return m.printSent(b, t, &client.TransactionData{ID: t.ID(), Status: client.Pending})
	}
	m.say("The node has it: %v", t.ID())
	d, err := m.follow(ctx, c, b, t, s.confirmations)
	if err != nil {
		return err
	}
	return m.printSent(b, t, d)
}

// keptError is the error of a transfer that stays in the outbox.
func (m *means) keptError(b book, t *types.Transfer, what string, err error) error {
	return fmt.Errorf("%v to %s: %s: %w%s. It is kept in the outbox until height %d: \"cairn resend\" and the next \"cairn send\" send the same bytes again, which are never paid twice",
		t.ID(), b.name(t.Recipient), what, m.asked(err), b.valuesOf(err), t.Expiry)
}

// valuesOf says the values that a refusal compared, amounts in coins.
func (b book) valuesOf(err error) string {
	var p *client.Problem
	if !errors.As(err, &p) || len(p.Values) == 0 {
		return ""
	}
	var parts []string
	for _, name := range []string{"balance", "spendable", "pending", "needed", "fee", "least", "pending_fee", "min_balance"} {
		if v, ok := p.Values[name]; ok && p.Rule() != client.ErrExpired && p.Rule() != client.ErrExpiryTooFar {
			parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+b.FormatBalance(v)+" "+b.Symbol)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// sentView is what became of a payment, in JSON.
type sentView struct {
	ID            types.Hash    `json:"id"`
	Status        client.State  `json:"status"`
	From          string        `json:"from"`
	To            string        `json:"to"`
	Amount        string        `json:"amount"` // coins
	Fee           string        `json:"fee"`    // coins
	Memo          string        `json:"memo,omitempty"`
	Expiry        uint32        `json:"expiry"` // height
	Confirmations uint32        `json:"confirmations"`
	Block         *client.Place `json:"block,omitempty"`
}

func (b book) sentView(t *types.Transfer, d *client.TransactionData) sentView {
	return sentView{t.ID(), d.Status, b.FormatAccount(t.Sender), b.FormatAccount(t.Recipient), b.FormatAmount(t.Amount),
		b.FormatAmount(t.Fee), t.Memo, t.Expiry, d.Confirmations, d.Block}
}

func (m *means) printSent(b book, t *types.Transfer, d *client.TransactionData) error {
	if m.json {
		return m.a.printJSON(b.sentView(t, d))
	}
	return nil
}
