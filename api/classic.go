package api

import (
	"net/http"

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
	sub, err := parseSubmission(s.rules, o)
	if err != nil {
		return err
	}
	sub.complete(s.chain.Tip().Height+1, s.rules.TxLifetime)
	if err := s.recall(&sub); err != nil {
		return err
	}
	receipt, err := s.chain.AddTransfer(r.Context(), sub.transfer)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, client.Submitted{
		Message:    "Transaction has been submitted successfully",
		BlockIndex: receipt.NextHeight,
	})
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
		return writeBody(w, http.StatusOK, nil)
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
