package api

import (
	"bytes"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/types"
)

// registerBlocks registers the calls about blocks.
func (d *docs) registerBlocks() {
	s := d.s
	page := reflect.TypeFor[client.Page[client.BlockData]]()
	call(d, d.answers(get("/v1/blocks", "list-blocks", tagChain, "Blocks of the best chain"), http.StatusOK, mediaJSON, page), s.blocks)
	call(d, d.answers(get("/v1/blocks/{block}", "get-block", tagChain, "A block, on whatever branch"),
		http.StatusOK, mediaJSON, reflect.TypeFor[client.BlockData]()), s.block)
	const raw = "/v1/blocks/{block}/raw"
	call(d, d.answers(get(raw, "get-block-bytes", tagChain, "The bytes of a block (docs/protocol.md, section 3)"),
		http.StatusOK, mediaOctets, nil), s.blockBytes)
	d.api.OpenAPI().Paths[raw].Get.Responses["304"] = &huma.Response{Description: "The client has them: If-None-Match is the ETag"}
	call(d, d.answers(get("/v1/blocks/{block}/transfers", "list-block-transfers", tagChain, "The transfers of a block"),
		http.StatusOK, mediaJSON, reflect.TypeFor[client.Page[client.TransferData]]()), s.blockTransfers)
}

type blocksParams struct {
	Paging
	Order string `query:"order" enum:"desc,asc" default:"desc" doc:"The latest first, or genesis"`
}

// blocks answers GET /v1/blocks. A cursor is the height of the first block.
func (s *server) blocks(w *response, _ *http.Request, in *blocksParams) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	first := uint32(0)
	if in.Order == "desc" {
		first = snapshot.Tip.Height
	}
	if in.Cursor != "" {
		if first, err = cursorHeight(in.Cursor); err != nil {
			return err
		}
	}
	if first > snapshot.Tip.Height {
		return writeBody(w, http.StatusOK, []byte("{\"items\":[]}\n"))
	}
	from, to, next := first, min(uint64(first)+uint64(in.Limit)-1, uint64(snapshot.Tip.Height)), ""
	if in.Order == "desc" {
		from, to = first-min(first, uint32(in.Limit-1)), uint64(first)
		if from > 0 {
			next = strconv.FormatUint(uint64(from)-1, 10)
		}
	} else if to < uint64(snapshot.Tip.Height) {
		next = strconv.FormatUint(to+1, 10)
	}
	body, err := s.appendBlocks([]byte(`{"items":[`), snapshot, from, uint32(to), in.Order == "desc")
	if err != nil {
		return err
	}
	return writeBody(w, http.StatusOK, appendNext(body, next))
}

func cursorHeight(cursor string) (uint32, error) {
	height, err := strconv.ParseUint(cursor, 10, 32)
	if err != nil {
		return 0, badCursor(cursor)
	}
	return uint32(height), nil
}

func badCursor(cursor string) error {
	return invalid("cursor is %s; it should be what the page before gave as next", quote(cursor))
}

// appendBlocks appends blocks of the best chain, ascending or descending.
func (s *server) appendBlocks(b []byte, snapshot *chain.Snapshot, from, to uint32, descending bool) ([]byte, error) {
	w := s.writer()
	states, err := snapshot.BestStates(from, to)
	if err != nil {
		return nil, err
	}
	height := from
	var parts [][2]int // of b, each one block
	for block, err := range snapshot.BestBlocks(from, to) {
		if err != nil {
			return nil, err
		}
		start := len(b)
		b = w.appendBlock(b, &states[height-from], block, true, snapshot.Tip.Height)
		parts = append(parts, [2]int{start, len(b)})
		b = append(b, ',')
		height++
	}
	b = b[:len(b)-1]
	if !descending {
		return b, nil
	}
	turned := bytes.Clone(b[:parts[0][0]])
	for i := len(parts) - 1; i >= 0; i-- {
		turned = append(append(turned, b[parts[i][0]:parts[i][1]]...), ',')
	}
	return turned[:len(turned)-1], nil
}

// BlockParam names a block in a path.
type BlockParam struct {
	Block string `path:"block" doc:"Height in the best chain, or hash" example:"0"`
}

// find returns the state of the block that is named, and whether it is on the best
// chain.
func (p *BlockParam) find(snapshot *chain.Snapshot) (consensus.State, bool, error) {
	if height, err := strconv.ParseUint(p.Block, 10, 32); err == nil && len(p.Block) <= 10 { // a hash may have no other digits
		return snapshot.BlockAt(nil, uint32(height))
	}
	hash, err := types.ParseHash(p.Block)
	if err != nil {
		return consensus.State{}, false, invalid("block is %s; it should be a height or a hash of 64 hex digits", quote(p.Block))
	}
	return snapshot.BlockAt(&hash, 0)
}

func (s *server) block(w *response, _ *http.Request, in *BlockParam) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	state, best, err := in.find(snapshot)
	if err != nil {
		return err
	}
	block, err := snapshot.Block(state.Height, state.Hash)
	if err != nil {
		return err
	}
	body := s.writer().appendBlock(nil, &state, block, best, snapshot.Tip.Height)
	return writeBody(w, http.StatusOK, append(body, '\n'))
}

func (s *server) blockBytes(w *response, r *http.Request, in *BlockParam) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	state, _, err := in.find(snapshot)
	if err != nil {
		return err
	}
	tag := `"` + state.Hash.String() + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	encoding, err := snapshot.BlockBytes(state.Height, state.Hash)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaOctets)
	w.Header().Set("Content-Length", strconv.Itoa(len(encoding)))
	_, err = w.Write(encoding)
	return err
}

type blockTransfersParams struct {
	BlockParam
	Paging
}

// blockTransfers answers GET /v1/blocks/{block}/transfers. A cursor is the position
// of the first transfer.
func (s *server) blockTransfers(w *response, _ *http.Request, in *blockTransfersParams) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	state, _, err := in.find(snapshot)
	if err != nil {
		return err
	}
	block, err := snapshot.Block(state.Height, state.Hash)
	if err != nil {
		return err
	}
	first := uint32(0)
	if in.Cursor != "" {
		if first, err = cursorHeight(in.Cursor); err != nil {
			return err
		}
	}
	all := block.Transfers
	rest := all[min(int(first), len(all)):]
	page, next := rest[:min(len(rest), in.Limit)], ""
	if len(page) < len(rest) {
		next = strconv.Itoa(int(first) + len(page))
	}
	body := s.writer().appendTransfers([]byte(`{"items":[`), page)
	return writeBody(w, http.StatusOK, appendNext(body, next))
}
