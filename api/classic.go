package api

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"

	"cairn/api/client"
	"cairn/types"
)

// createTransaction answers POST /create-transaction. What it answers with 201
// is on disk.
func (s *server) createTransaction(w *response, r *http.Request) error {
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	sub, err := parseSubmission(s.rules, o, s.signer != nil)
	if err != nil {
		return err
	}
	if err := s.finish(&sub, w.who, r.Header.Values("Idempotency-Key")); err != nil {
		return err
	}
	receipt, err := s.chain.AddTransfer(r.Context(), sub.transfer)
	if err != nil {
		return s.explain(err, &sub.transfer)
	}
	body := []byte(`{"message":"Transaction has been submitted successfully","block_index":`)
	body = strconv.AppendUint(body, uint64(receipt.NextHeight), 10)
	return writeBody(w, http.StatusCreated, append(body, "}\n"...))
}

// finish fills in what a submission leaves to the node: salt, expiry and, where the
// node holds the sender's key and its operator asks, fee and signature.
func (s *server) finish(sub *submission, by who, keys []string) error {
	unsigned := s.rules.Signatures && !sub.signature
	if unsigned {
		if err := s.mayspend(sub, by); err != nil {
			return err
		}
	}
	keyed := false
	if len(keys) > 0 && !sub.salt {
		if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey {
			return invalid("the header Idempotency-Key should be there once, with 1 to %d bytes", maxKey)
		}
		sub.transfer.Salt, sub.salt, keyed = keyedSalt(sub.transfer.Sender, keys[0]), true, true
	}
	sub.complete(s.nextHeight, s.rules.TxLifetime)
	if unsigned && !sub.fee {
		sub.transfer.Fee = s.chain.PoolLimits().MinFee(sub.transfer.Size())
	}
	if err := s.recall(sub); err != nil {
		return err
	}
	if keyed {
		earlier, err := s.bySalt(sub.transfer.Sender, sub.transfer.Salt)
		if err != nil {
			return err
		}
		if earlier != nil && !sameOrder(*earlier, sub.transfer) {
			return refuse(client.ErrKeyReused, "the Idempotency-Key came with a transfer of %s %s to %s before; another transfer needs another key",
				s.rules.FormatAmount(earlier.Amount), s.rules.Symbol, s.rules.FormatAccount(earlier.Recipient))
		}
		if earlier != nil { // whatever its expiry and fee: a salt may be used again after a lifetime, a key never
			if f, err := s.chain.Find(earlier.ID()); err != nil || f.Mined != nil || f.Pending != nil {
				sub.transfer = *earlier
				return err
			}
		}
	}
	if unsigned {
		return s.signer.Sign(s.rules, &sub.transfer)
	}
	return nil
}

// nextHeight is the height of the next block.
func (s *server) nextHeight() uint32 { return s.chain.Tip().Height + 1 }

// mayspend tells whether the node may sign for a sender: only for whoever has a
// token, wherever the request comes from.
func (s *server) mayspend(sub *submission, by who) error {
	sender := s.rules.FormatAccount(sub.transfer.Sender)
	switch {
	case !by.token:
		return challenge{refuse(client.ErrUnauthorised, "signature is missing, and the node signs only for whoever sends a token with the scope %q", client.ScopeOperate), bearer}
	case by.level < level(client.ScopeOperate):
		return refuse(client.ErrForbidden, "signature is missing, and the node signs only for a token with the scope %q; this one has %q", client.ScopeOperate, scopes[by.level-1])
	case !s.signer.Holds(sub.transfer.Sender):
		return refuse(client.ErrKeyNotHeld, "signature is missing, and the node's wallet does not hold the key of %s", sender)
	}
	return nil
}

// maxKey is the most bytes of an Idempotency-Key.
const maxKey = 255

// keyedSalt makes the salt of a transfer of its sender and an Idempotency-Key, so that
// the same key never pays twice, on whatever node and after whatever restart.
func keyedSalt(sender types.Account, key string) uint64 {
	b := append([]byte("cairn idempotency key\n"), byte(len(sender)))
	sum := sha256.Sum256(append(append(b, sender...), key...))
	return binary.LittleEndian.Uint64(sum[:])
}

// sameOrder tells whether two transfers pay the same to the same.
func sameOrder(a, b types.Transfer) bool {
	return a.Recipient == b.Recipient && a.Amount == b.Amount && a.Memo == b.Memo
}

// recall makes the same submission the same transfer: with a salt but without an
// expiry it takes the expiry that it was given the first time, which the height
// has moved on from, if that transfer is still pending or was mined.
func (s *server) recall(sub *submission) error {
	if !sub.salt || sub.expiry {
		return nil
	}
	t := &sub.transfer
	earlier, err := s.bySalt(t.Sender, t.Salt)
	if err != nil || earlier == nil {
		return err
	}
	same := *t
	same.Expiry = earlier.Expiry
	if s.rules.Signatures && !sub.signature { // the node signs, and may have chosen the fee
		same.Signature = earlier.Signature
		if !sub.fee {
			same.Fee = earlier.Fee
		}
	}
	if same == *earlier {
		*t = same
	}
	return nil
}

// bySalt returns the transfer with this sender and salt, pending or else the
// latest on the best chain; nil when there is none.
func (s *server) bySalt(sender types.Account, salt uint64) (*types.Transfer, error) {
	if e, ok := s.chain.PendingBySalt(sender, salt); ok {
		return e.Transfer, nil
	}
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	loc, ok, err := snapshot.SaltLoc(sender, salt)
	if err != nil || !ok {
		return nil, err
	}
	hash, err := snapshot.BestHash(loc.Height)
	if err != nil {
		return nil, err
	}
	block, err := snapshot.Block(loc.Height, hash)
	if err != nil {
		return nil, err
	}
	return &block.Transfers[loc.Position], nil
}

// mine answers GET /mine. The search ends when the client leaves.
func (s *server) mine(w *response, r *http.Request) error {
	if err := watchClient(w, r); err != nil {
		return err
	}
	block, state, err := s.miner.MineOne(r.Context())
	if err != nil {
		return err
	}
	body := []byte(`{"message":"Successfully Mined the new Block","block_data":`)
	body = appendBlock(body, s.rules, state.Height, block)
	return writeBody(w, http.StatusOK, append(body, "}\n"...))
}

// getChain answers GET /chain?from=H&limit=N.
func (s *server) getChain(w *response, r *http.Request) error {
	part, err := parsePart(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return writePart(w, http.StatusOK, nil)
	}
	return s.streamChain(w, `{"chain":`, part)
}

// registerNode answers POST /register-node.
func (s *server) registerNode(w *response, r *http.Request) error {
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	address, err := textOf(o, "address")
	if err != nil {
		return err
	}
	nodes, err := s.syncer.AddNeighbour(address)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, client.Registered{
		Message:   "New node has been added",
		NodeCount: len(nodes),
		Nodes:     nodes,
	})
}

// syncChain answers GET /sync-chain.
func (s *server) syncChain(w *response, r *http.Request) error {
	if err := watchClient(w, r); err != nil {
		return err
	}
	result, err := s.syncer.Sync(r.Context())
	if err != nil {
		return err
	}
	answer := client.Synced{Message: "Chain is already up to date"}
	switch {
	case !result.Available:
		answer.Message = "No neighbour chain is available"
	case result.Replaced:
		answer.Message = "Chain was replaced"
	}
	for _, n := range result.Neighbours {
		answer.Neighbours = append(answer.Neighbours, client.Neighbour(n))
	}
	if !result.Available {
		return writeJSON(w, http.StatusOK, answer)
	}
	head, err := marshal(answer)
	if err != nil {
		return err
	}
	head = append(head[:len(head)-1], `,"chain":`...) // the object stays open for the chain
	return s.streamChain(w, string(head), wholeChain)
}
