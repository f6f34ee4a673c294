package api

import (
	"errors"
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
	buffer := takeBuffer()
	defer buffer.give()
	if err := s.bufferBlocks(buffer, snapshot, from, uint32(to), in.Order == "desc"); err != nil {
		return err
	}
	buffer.bytes = appendNext(buffer.bytes, next)
	return writeBody(w, http.StatusOK, buffer.bytes)
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

// bufferBlocks appends a list of blocks of the best chain, without its end.
func (s *server) bufferBlocks(b *buffer, snapshot *chain.Snapshot, from, to uint32, descending bool) error {
	state, _, err := snapshot.BlockAt(nil, from)
	if err != nil {
		return err
	}
	w := s.writer()
	made := takeBuffer()
	defer made.give()
	var ends []int // of the blocks that are made
	for block, err := range snapshot.BestBlocks(from, to) {
		if err != nil {
			return err
		}
		if len(ends) > 0 { // what follows from the block before costs less than to read it
			state.Hash, state.Height = block.Header.Hash(), state.Height+1
			state.Work = state.Work.Add(consensus.WorkOf(block.Header.Bits))
		}
		made.bytes = w.appendBlock(made.bytes, &state, block, true, snapshot.Tip.Height)
		made.bytes = append(made.bytes, ',')
		ends = append(ends, len(made.bytes))
	}
	b.bytes = append(b.bytes, `{"items":[`...)
	if !descending {
		b.bytes = append(b.bytes, made.bytes[:len(made.bytes)-1]...)
		return nil
	}
	for i := len(ends) - 1; i >= 0; i-- {
		start := 0
		if i > 0 {
			start = ends[i-1]
		}
		b.bytes = append(b.bytes, made.bytes[start:ends[i]]...)
	}
	b.bytes = b.bytes[:len(b.bytes)-1]
	return nil
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

// snapshotOf returns the chain as it is, to be closed, and in it the state of the
// block that is named and whether it is on the best chain.
func (s *server) snapshotOf(in *BlockParam) (snapshot *chain.Snapshot, state consensus.State, best bool, err error) {
	if snapshot, err = s.chain.Snapshot(); err != nil {
		return nil, state, false, err
	}
	if state, best, err = in.find(snapshot); err != nil {
		return nil, state, false, errors.Join(err, snapshot.Close())
	}
	return snapshot, state, best, nil
}

func (s *server) block(w *response, _ *http.Request, in *BlockParam) error {
	snapshot, state, best, err := s.snapshotOf(in)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	buffer := takeBuffer()
	defer buffer.give()
	if err := snapshot.UseBlock(state.Height, state.Hash, func(block *types.Block) {
		buffer.bytes = s.writer().appendBlock(buffer.bytes, &state, block, best, snapshot.Tip.Height)
	}); err != nil {
		return err
	}
	buffer.bytes = append(buffer.bytes, '\n')
	return writeBody(w, http.StatusOK, buffer.bytes)
}

func (s *server) blockBytes(w *response, r *http.Request, in *BlockParam) error {
	snapshot, state, _, err := s.snapshotOf(in)
	if err != nil {
		return err
	}
	defer snapshot.Close()
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
	snapshot, state, _, err := s.snapshotOf(&in.BlockParam)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	first := uint32(0)
	if in.Cursor != "" {
		if first, err = cursorHeight(in.Cursor); err != nil {
			return err
		}
	}
	buffer := takeBuffer()
	defer buffer.give()
	if err := snapshot.UseBlock(state.Height, state.Hash, func(block *types.Block) {
		rest := block.Transfers[min(int(first), len(block.Transfers)):]
		page, next := rest[:min(len(rest), in.Limit)], ""
		if len(page) < len(rest) {
			next = strconv.Itoa(int(first) + len(page))
		}
		buffer.bytes = append(buffer.bytes, `{"items":[`...)
		buffer.bytes = appendNext(s.writer().appendTransfers(buffer.bytes, page), next)
	}); err != nil {
		return err
	}
	return writeBody(w, http.StatusOK, buffer.bytes)
}
