package api

import (
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"cairn/api/client"
	"cairn/proof"
	"cairn/store"
	"cairn/types"
)

// registerProofs registers the calls that answer with a proof document. What it holds
// is in docs/proof.md; `cairn verify-proof` and package proof check it.
func (d *docs) registerProofs() {
	s := d.s
	document := reflect.TypeFor[map[string]any]()
	about := "A document that whoever trusts only the genesis file can check offline, by `cairn verify-proof`. " +
		"With all headers it is as strong as the whole chain; with a few, as the work of those."
	describe := func(path, id, summary string) huma.Operation {
		op := get(path, id, tagMoney, summary)
		op.Description = about
		return d.answers(op, http.StatusOK, mediaJSON, document)
	}
	call(d, describe("/v1/transactions/{id}/proof", "prove-transaction", "Proof that a block holds a transfer"), s.proveTransaction)
	call(d, describe("/v1/accounts/{account}/proof", "prove-account", "Proof of what an account holds after the tip, or that it holds nothing"), s.proveAccount)
	call(d, describe("/v1/blocks/{block}/proof", "prove-block", "Proof that an earlier block is on the best chain"), s.proveBlock)
}

// HeadersParam says how much of the chain a proof shows.
type HeadersParam struct {
	Headers string `query:"headers" enum:"all,few" default:"few" doc:"all from genesis, or a few and the history that they commit to"`
}

func (p *HeadersParam) few() bool { return p.Headers != "all" }

type proveTransactionParams struct {
	ID string `path:"id" doc:"Hash of the transfer's encoding"`
	HeadersParam
}

func (s *server) proveTransaction(w *response, _ *http.Request, in *proveTransactionParams) error {
	id, err := types.ParseHash(in.ID)
	if err != nil {
		return invalid("id is %s; it should be 64 hex digits", quote(in.ID))
	}
	document, err := s.chain.ProveTransfer(id, in.few())
	if errors.Is(err, store.ErrNotFound) {
		return refuse(client.ErrNotFound, "no block of the best chain holds a transfer %s", id)
	}
	return writeProof(w, document, err)
}

type proveAccountParams struct {
	AccountParam
	HeadersParam
}

func (s *server) proveAccount(w *response, r *http.Request, in *proveAccountParams) error {
	account, err := in.parse(s.rules)
	if err != nil {
		return err
	}
	document, err := s.chain.ProveAccount(r.Context(), account, in.few())
	return writeProof(w, document, err)
}

// proveBlock answers GET /v1/blocks/{block}/proof. It has no form with all headers:
// there the block would be just one of them.
func (s *server) proveBlock(w *response, _ *http.Request, in *BlockParam) error {
	snapshot, state, best, err := s.snapshotOf(in)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	if !best {
		return refuse(client.ErrNotFound, "block %s is not on the best chain", state.Hash)
	}
	document, err := s.chain.ProveBlock(state.Height)
	return writeProof(w, document, err)
}

func writeProof(w *response, document *proof.Document, err error) error {
	if err != nil {
		return err
	}
	return writeBody(w, http.StatusOK, document.Encode())
}
