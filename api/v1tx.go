package api

import (
	"context"
	"encoding/hex"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/internal/jsonobject"
	"cairn/mempool"
	"cairn/types"
)

// registerTransactions registers the calls about transfers.
func (d *docs) registerTransactions() {
	s := d.s
	endpoint(d, get("/v1/transactions/{id}", "get-transaction", tagMoney, "A transfer and what became of it"), s.transaction)
	call(d, d.answers(get("/v1/transactions/{id}/raw", "get-transaction-bytes", tagMoney, "The bytes of a transfer (docs/protocol.md, section 4)"),
		http.StatusOK, mediaOctets, nil), s.transactionBytes)

	one := map[string]reflect.Type{mediaJSON: reflect.TypeFor[client.Submission](), mediaOctets: nil}
	submit := needs(post("/v1/transactions", "submit-transaction", tagMoney, "Submit a transfer; again gives the same success"), client.ScopeSubmit)
	submit.Security = nil // open to strangers, within a limit
	call(d, d.takes(d.answers(submit, http.StatusCreated, mediaJSON, reflect.TypeFor[client.Accepted]()), one), s.submit)

	check := post("/v1/transactions/check", "check-transaction", tagMoney, "What would be answered to a transfer; nothing is submitted")
	call(d, d.takes(d.answers(check, http.StatusOK, mediaJSON, reflect.TypeFor[client.Checked]()), one), s.check)

	stream := needs(post("/v1/transactions/stream", "stream-transactions", tagMoney, "Submit many transfers over one connection"), client.ScopeSubmit)
	stream.Security = nil
	stream.Description = "One transfer a line (NDJSON), or each as its length in two bytes, little-endian, and its encoding. " +
		"There is one line of answer for each, in order, as soon as it is durable."
	many := map[string]reflect.Type{mediaNDJSON: reflect.TypeFor[client.Submission](), mediaOctets: nil}
	stream = d.answers(stream, http.StatusOK, mediaNDJSON, reflect.TypeFor[client.StreamAnswer]())
	line := stream.Responses["200"].Content[mediaNDJSON].Schema
	line.OneOf = []*huma.Schema{{Required: line.Required}, {Required: []string{"problem"}}}
	line.Required = nil
	call(d, d.takes(stream, many), s.submitMany)
}

// TransactionParam is the id of a transfer in a path.
type TransactionParam struct {
	ID string `path:"id" doc:"Hash of the transfer's encoding"`
}

func (p *TransactionParam) parse() (types.Hash, error) {
	id, err := types.ParseHash(p.ID)
	if err != nil {
		err = invalid("id is %s; it should be 64 hex digits", quote(p.ID))
	}
	return id, err
}

type transactionParams struct {
	TransactionParam
	Expiry uint32 `query:"expiry" doc:"The transfer's expiry, where it is known: lets the node tell that one it does not know has expired"`
}

func (s *server) transaction(_ context.Context, in *transactionParams) (client.TransactionData, error) {
	id, err := in.parse()
	if err != nil {
		return client.TransactionData{}, err
	}
	f, err := s.chain.Find(id)
	if err != nil {
		return client.TransactionData{}, err
	}
	t := client.TransactionData{ID: id, Status: client.Unknown, Height: f.Tip.Height}
	if f.Transfer != nil {
		t.Transfer = s.writer().transferData(id, f.Transfer)
	}
	switch {
	case f.Mined != nil:
		t.Status, t.Block = client.Confirmed, placeOf(f.Mined)
		t.Confirmations = f.Tip.Height - f.Mined.Height + 1
	case f.Pending != nil:
		t.Status = client.Pending
		t.Waiting, err = s.waiting(f.Pending)
	case f.Dropped != nil:
		t.Dropped = problemOf(f.Dropped)
		if errors.Is(f.Dropped, consensus.ErrExpired) || f.Transfer.Expiry <= f.Tip.Height {
			t.Status = client.Lapsed
		}
	case in.Expiry != 0 && in.Expiry <= f.Tip.Height:
		t.Status = client.Lapsed
	}
	return t, err
}

func placeOf(p *chain.Place) *client.Place {
	return &client.Place{Hash: p.Hash, Height: p.Height, Time: p.Time, Position: p.Position}
}

// waiting says why a transfer is still pending.
func (s *server) waiting(e *mempool.Entry) (*client.Waiting, error) {
	o, err := s.chain.Obstacle(e)
	if err != nil {
		return nil, err
	}
	w := &client.Waiting{BytesAhead: o.Ahead, BlocksAhead: o.Ahead / int(s.rules.MaxBlockSize)}
	if o.Err != nil {
		w.Problem = s.explain(o.Err, e.Transfer)
	}
	return w, nil
}

func (s *server) transactionBytes(w *response, _ *http.Request, in *TransactionParam) error {
	id, err := in.parse()
	if err != nil {
		return err
	}
	f, err := s.chain.Find(id)
	if err != nil {
		return err
	}
	if f.Transfer == nil {
		return refuse(client.ErrNotFound, "no transfer %s is known here", id)
	}
	w.Header().Set("Content-Type", mediaOctets)
	_, err = w.Write(f.Transfer.Append(nil))
	return err
}

// submit answers POST /v1/transactions. What it answers with 201 is on disk.
func (s *server) submit(w *response, r *http.Request, _ *none) error {
	t, err := s.readTransfer(w, r)
	if err != nil {
		return err
	}
	receipt, err := s.chain.AddTransfer(r.Context(), t)
	if err != nil {
		return s.explain(err, &t)
	}
	return writeBody(w, http.StatusCreated, append(appendAccepted(nil, receipt), '\n'))
}

// check answers POST /v1/transactions/check.
func (s *server) check(w *response, r *http.Request, _ *none) error {
	t, err := s.readTransfer(w, r)
	if err != nil {
		return err
	}
	receipt, err := s.chain.CheckTransfer(t)
	c := client.Checked{ID: receipt.ID, Acceptable: err == nil, Size: t.Size(), LeastFee: s.chain.PoolLimits().MinFee(t.Size())}
	if c.ID = t.ID(); err != nil {
		c.Problem = s.explain(err, &t)
		if c.Problem.Status >= http.StatusInternalServerError && c.Problem.Rule() != client.ErrPoolFull {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, c)
}

// explain is problemOf for what happened to a transfer, with the values that the
// rule compared.
func (s *server) explain(err error, t *types.Transfer) *client.Problem {
	p := *problemOf(err)
	values := client.Values{}
	switch p.Rule() {
	case client.ErrInsufficient:
		if a, err := s.chain.Account(t.Sender); err == nil {
			out := a.Out.Amount()
			values["balance"], values["spendable"], values["pending"] = a.Balance, int64(a.Spendable(s.rules)), out
		}
		values["needed"] = int64(t.Amount + t.Fee)
	case client.ErrFeeTooLow:
		values["fee"], values["least"], values["size"] = int64(t.Fee), int64(s.chain.PoolLimits().MinFee(t.Size())), int64(t.Size())
	case client.ErrAccountLimit:
		values["limit"] = int64(s.chain.PoolLimits().PerAccount)
	case client.ErrMinBalance:
		values["min_balance"] = int64(s.rules.MinBalance)
	case client.ErrExpired, client.ErrExpiryTooFar:
		next := int64(s.chain.Tip().Height) + 1
		values["expiry"], values["least"], values["most"] = int64(t.Expiry), next, next+int64(s.rules.TxLifetime)
	case client.ErrConflict:
		if e, ok := s.chain.PendingBySalt(t.Sender, t.Salt); ok {
			values["fee"], values["pending_fee"] = int64(t.Fee), int64(e.Transfer.Fee)
		}
	}
	if len(values) > 0 {
		p.Values = values
	}
	return &p
}

// readTransfer reads the body of a request: the JSON of a client.Submission, or the
// bytes of a transfer.
func (s *server) readTransfer(w *response, r *http.Request) (types.Transfer, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == mediaOctets {
		body, err := readBody(w, r)
		if err != nil {
			return types.Transfer{}, err
		}
		return types.DecodeTransfer(body)
	}
	o, err := readObject(w, r)
	if err != nil {
		return types.Transfer{}, err
	}
	return s.parseTransfer(o)
}

// parseTransfer reads a client.Submission. Where nothing is signed, expiry and salt
// may be left out.
func (s *server) parseTransfer(o *jsonobject.Object) (types.Transfer, error) {
	if err := only(o, "sender", "recipient", "amount", "fee", "expiry", "salt", "memo", "memo_hex", "signature"); err != nil {
		return types.Transfer{}, err
	}
	var sub submission
	t := &sub.transfer
	f := fields{rules: s.rules, o: o}
	sub.expiry, sub.salt = f.has("expiry"), f.has("salt")
	f.transfer(t, unitsOf, s.rules.Signatures)
	read(&f, "memo_hex", false, &t.Memo, memoHexOf)
	if f.err != nil {
		return types.Transfer{}, f.err
	}
	sub.complete(s.nextHeight, s.rules.TxLifetime)
	return *t, s.recall(&sub)
}

// unitsOf reads base units: a whole number that every client keeps exact.
func unitsOf(f *fields, key string) (uint64, error) {
	text, err := numberOf(f.o, key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > types.MaxAmount {
		return 0, invalid("%s is %s; it should be a whole number of base units from 0 to %d", key, quote(text), uint64(types.MaxAmount))
	}
	return n, nil
}

// memoHexOf reads a memo that is no text; the memo as text may stand beside it, as in
// what the node shows, and counts for nothing.
func memoHexOf(f *fields, key string) (string, error) {
	text, err := textOf(f.o, key)
	if err != nil {
		return "", err
	}
	memo, err := hex.DecodeString(text)
	if err != nil || len(memo) > maxMemo {
		return "", invalid("%s is %s; it should be at most %d bytes in hex", key, quote(text), maxMemo)
	}
	return string(memo), nil
}

// AccountParam is an account in a path.
type AccountParam struct {
	Account string `path:"account" doc:"Address, or name where there are no signatures"`
}

func (p *AccountParam) parse(rules *consensus.Rules) (types.Account, error) {
	return rules.ParseAccount(p.Account)
}
