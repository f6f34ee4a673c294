package p2p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"cairn/consensus"
	"cairn/types"
)

// What a message may hold. The numbers are part of the format, which is the section
// "Messages" of docs/p2p.md.
const (
	maxName            = 32     // bytes of a network's name
	maxAgent           = 64     // bytes of what a node says it runs
	maxBatch           = 128    // transfers in a batch
	maxSummary         = 20_000 // short ids in a summary
	maxSummaryAnswer   = 5_000  // transfers in its answer
	maxNodes           = 32     // in an answer with addresses
	maxPeerID          = 64     // bytes of a node's ID
	maxAddressesOfNode = 8

	// The most bytes of a message: no frame of a longer one is read.
	maxHelloSize         = 256
	maxBatchSize         = 64 << 10
	maxSummarySize       = 16 + 3 + 8*maxSummary
	maxSummaryAnswerSize = 2 << 20
	maxAddressesSize     = 1 + maxNodes*(1+maxPeerID+1+maxAddressesOfNode*(1+255))

	maxCountSize = 5 // bytes of a count of things in a block
)

// maxTransfers bounds the transfers of a block by the bytes of the smallest.
func maxTransfers(maxBlockSize int) int { return maxBlockSize / types.MinTransferSize }

func maxAnnouncementSize(maxBlockSize int) int {
	return types.HeaderSize + types.MaxRewardSize + maxCountSize + 8*maxTransfers(maxBlockSize)
}

// maxWantsSize counts one byte for each position that there can be: a gap that
// takes more bytes leaves out more positions than that.
func maxWantsSize(maxBlockSize int) int {
	return len(types.Hash{}) + maxCountSize + maxTransfers(maxBlockSize)
}

// errFormat says that bytes from a peer are not of the form in docs/p2p.md. What
// exactly is wrong, and where, follows in the text.
var errFormat = errors.New("not the peer-to-peer format")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFormat, fmt.Sprintf(format, args...))
}

// hello is what both sides say first on a stream of their own. Nothing in it is to
// be believed but the network that the peer is on.
type hello struct {
	chain  types.Hash     // the network: the hash of its genesis block
	name   string         // of the network, for people: 1 to 32 of a-z, 0-9 and -
	agent  string         // what the node runs: at most 64 bytes of printable ASCII
	height uint32         // of the tip
	work   consensus.Work // of the chain, genesis not counted
}

func (h hello) append(b []byte) []byte {
	b = append(b, h.chain[:]...)
	b = types.AppendStr(b, h.name)
	b = types.AppendStr(b, h.agent)
	b = binary.LittleEndian.AppendUint32(b, h.height)
	work := h.work.LittleEndian()
	return append(b, work[:]...)
}

func decodeHello(b []byte) (h hello, err error) {
	in := newInput("hello", b, maxHelloSize)
	h.chain = in.hash()
	h.name = in.str(1, maxName)
	if strings.Trim(h.name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		in.fail("the network's name %q has other characters than a-z, 0-9 and -", h.name)
	}
	h.agent = in.str(0, maxAgent)
	if strings.ContainsFunc(h.agent, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		in.fail("the agent %q is not printable ASCII", h.agent)
	}
	h.height = in.u32()
	h.work = consensus.WorkFromLittleEndian(in.hash())
	return h, in.end()
}

// announcement tells of a new block by the short ids of its transfers, which most
// nodes have: see blockKey and shortID.
type announcement struct {
	header types.Header
	reward types.Reward
	short  []uint64 // in the block's order, without the reward
}

func (a announcement) append(b []byte) []byte {
	header := a.header.Encode()
	b = append(b, header[:]...)
	b = a.reward.Append(b)
	return appendShort(b, a.short)
}

func decodeAnnouncement(b []byte, maxBlockSize int) (a announcement, err error) {
	in := newInput("announcement", b, maxAnnouncementSize(maxBlockSize))
	a.header = in.header()
	a.reward = in.reward()
	a.short = in.short(maxTransfers(maxBlockSize))
	return a, in.end()
}

// wants asks for transfers of a block, by their positions in it. Of each position is
// written how many are left out since the one before, as a count.
type wants struct {
	block     types.Hash
	positions []uint32 // at least one, strictly rising; 0 is the first transfer, after the reward
}

func (w wants) append(b []byte) []byte {
	b = append(b, w.block[:]...)
	b = types.AppendCount(b, uint64(len(w.positions)))
	next := uint32(0) // the least that the position can be
	for _, p := range w.positions {
		b = types.AppendCount(b, uint64(p-next))
		next = p + 1
	}
	return b
}

func decodeWants(b []byte, maxBlockSize int) (w wants, err error) {
	in := newInput("wants", b, maxWantsSize(maxBlockSize))
	most := maxTransfers(maxBlockSize)
	w.block = in.hash()
	w.positions = make([]uint32, in.count(1, most, 1))
	next := 0
	for i := range w.positions {
		p := next + in.number(0, most)
		if p >= most {
			in.fail("position %d, where a block has at most %d transfers", p, most)
			break
		}
		w.positions[i] = uint32(p)
		next = p + 1
	}
	return w, in.end()
}

// transfersAnswer is the answer to wants: 0, or 1 and the transfers in the order in
// which they were asked for.
type transfersAnswer struct {
	found     bool // whether the node has the block; if not, that is all
	transfers []types.Transfer
}

func (a transfersAnswer) append(b []byte) []byte {
	if !a.found {
		return append(b, 0)
	}
	return appendTransfers(append(b, 1), a.transfers)
}

// decodeTransfersAnswer takes at most maxBlockSize bytes: header and reward, which
// are in the block and not here, are more than what is here besides transfers.
func decodeTransfersAnswer(b []byte, maxBlockSize int) (a transfersAnswer, err error) {
	in := newInput("answer to wants", b, maxBlockSize)
	if a.found = in.number(0, 1) == 1; a.found {
		a.transfers = in.transfers(1, maxTransfers(maxBlockSize))
	}
	return a, in.end()
}

// batch is transfers for the pool, 1 to maxBatch of them in maxBatchSize bytes.
type batch []types.Transfer

func (t batch) append(b []byte) []byte { return appendTransfers(b, t) }

func decodeBatch(b []byte) (t batch, err error) {
	in := newInput("batch", b, maxBatchSize)
	t = in.transfers(1, maxBatch)
	return t, in.end()
}

// summary asks a peer for what its pool has beyond this node's, or as much of it as
// an answer holds.
type summary struct {
	key   shortKey // random, drawn anew for each summary, so that nobody can prepare collisions
	short []uint64 // under key, of what the pool has; strictly rising
}

func (s summary) append(b []byte) []byte {
	return appendShort(append(b, s.key[:]...), s.short)
}

func decodeSummary(b []byte) (s summary, err error) {
	in := newInput("summary", b, maxSummarySize)
	copy(s.key[:], in.take(len(s.key)))
	s.short = in.short(maxSummary)
	for i := 1; i < len(s.short); i++ {
		if s.short[i-1] >= s.short[i] {
			in.fail("short id %d is not above the one before", i)
		}
	}
	return s, in.end()
}

// summaryAnswer is at most maxSummaryAnswer transfers, in maxSummaryAnswerSize bytes.
type summaryAnswer []types.Transfer

func (t summaryAnswer) append(b []byte) []byte { return appendTransfers(b, t) }

func decodeSummaryAnswer(b []byte) (t summaryAnswer, err error) {
	in := newInput("answer to a summary", b, maxSummaryAnswerSize)
	t = in.transfers(0, maxSummaryAnswer)
	return t, in.end()
}

// node is a node that a peer tells of. What the bytes mean, if anything, is libp2p's
// matter.
type node struct {
	id        string   // 1 to 64 bytes of a peer ID
	addresses []string // 1 to 8 binary multiaddrs of 1 to 255 bytes
}

// appendAddresses writes an answer with addresses, of at most maxNodes nodes.
func appendAddresses(b []byte, nodes []node) []byte {
	b = types.AppendCount(b, uint64(len(nodes)))
	for _, n := range nodes {
		b = types.AppendStr(b, n.id)
		b = append(b, byte(len(n.addresses)))
		for _, address := range n.addresses {
			b = types.AppendStr(b, address)
		}
	}
	return b
}

func decodeAddresses(b []byte) ([]node, error) {
	in := newInput("addresses", b, maxAddressesSize)
	nodes := make([]node, in.count(0, maxNodes, 1+1+1+1+1))
	for i := range nodes {
		nodes[i].id = in.str(1, maxPeerID)
		nodes[i].addresses = make([]string, in.count(1, maxAddressesOfNode, 1+1))
		for j := range nodes[i].addresses {
			nodes[i].addresses[j] = in.str(1, 255)
		}
	}
	return nodes, in.end()
}

// writeFrame writes a message to a stream, its length in front.
func writeFrame(w io.Writer, payload []byte) error {
	b := make([]byte, 0, 4+len(payload))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	_, err := w.Write(append(b, payload...))
	return err
}

// firstRead is how much memory a frame gets for its length alone; it gets more as
// its bytes come.
const firstRead = 16 << 10

// readFrame reads what writeFrame writes, if it is at most so many bytes. The error
// is io.EOF where the stream ends without a frame.
func readFrame(r io.Reader, most int) ([]byte, error) {
	var length [4]byte
	if n, err := io.ReadFull(r, length[:]); err == io.ErrUnexpectedEOF {
		return nil, formatError("the stream ends after %d bytes of a frame's length", n)
	} else if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if uint64(size) > uint64(most) {
		return nil, formatError("a frame of %d bytes, where %d are the most", size, most)
	}
	var payload []byte
	for len(payload) < int(size) {
		have := len(payload)
		payload = append(payload, make([]byte, min(int(size)-have, max(have, firstRead)))...)
		if n, err := io.ReadFull(r, payload[have:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, formatError("the stream ends after %d of the %d bytes of a frame", have+n, size)
		} else if err != nil {
			return nil, err
		}
	}
	return payload, nil
}

func appendShort(b []byte, short []uint64) []byte {
	b = types.AppendCount(b, uint64(len(short)))
	for _, id := range short {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return b
}

func appendTransfers(b []byte, transfers []types.Transfer) []byte {
	b = types.AppendCount(b, uint64(len(transfers)))
	for i := range transfers {
		b = transfers[i].Append(b)
	}
	return b
}

// input reads a message from the front of b. The first fault sticks: later reads
// return zero values, so decoders check err once, at the end.
type input struct {
	message string // what is read, for errors
	size    int    // of all of it
	b       []byte // what is left
	err     error
}

func newInput(message string, b []byte, most int) *input {
	in := &input{message: message, size: len(b), b: b}
	if len(b) > most {
		in.fail("%d bytes, where %d are the most", len(b), most)
	}
	return in
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = formatError("%s, before byte %d: %s", in.message, in.size-len(in.b), fmt.Sprintf(format, args...))
	}
	in.b = nil
}

// take returns the next n bytes, which alias the input.
func (in *input) take(n int) (p []byte) {
	if n > len(in.b) { // as always after a fault
		in.fail("%d bytes end where %d are needed", len(in.b), n)
		return nil
	}
	p, in.b = in.b[:n], in.b[n:]
	return p
}

func (in *input) u32() uint32 {
	if p := in.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (in *input) hash() (h types.Hash) {
	copy(h[:], in.take(len(h)))
	return h
}

func (in *input) header() (h types.Header) {
	if p := in.take(types.HeaderSize); p != nil {
		h, _ = types.DecodeHeader(p) // any 80 bytes are one
	}
	return h
}

func (in *input) reward() types.Reward { return cut(in, types.CutReward) }

// str reads one length byte and least to most bytes.
func (in *input) str(least, most int) string {
	p := in.take(1)
	if p == nil {
		return ""
	}
	n := int(p[0])
	if n < least || n > most {
		in.fail("a str of %d bytes, where %d to %d are right", n, least, most)
	}
	return string(in.take(n))
}

// number reads a CompactSize from least to most, or fails and returns 0. A u8 that
// may be at most 252 is one too.
func (in *input) number(least, most int) int {
	n := cut(in, types.CutCount)
	if in.err == nil && (n < uint64(least) || n > uint64(most)) {
		in.fail("the number %d, where %d to %d are right", n, least, most)
	}
	if in.err != nil {
		return 0
	}
	return int(n)
}

// count reads the number of elements that follow, of size bytes or more each: no
// more than there can be, so that whoever calls may take memory for them.
func (in *input) count(least, most, size int) int {
	n := in.number(least, most)
	if n > len(in.b)/size {
		in.fail("%d elements cannot fit into %d bytes", n, len(in.b))
		return 0
	}
	return n
}

func (in *input) short(most int) []uint64 {
	ids := make([]uint64, in.count(0, most, 8))
	for i := range ids {
		ids[i] = binary.LittleEndian.Uint64(in.take(8))
	}
	return ids
}

func (in *input) transfers(least, most int) []types.Transfer {
	transfers := make([]types.Transfer, in.count(least, most, types.MinTransferSize))
	for i := range transfers {
		if transfers[i] = cut(in, types.CutTransfer); in.err != nil {
			return nil
		}
	}
	return transfers
}

// end reports what went wrong, or that bytes are left over.
func (in *input) end() error {
	if in.err == nil && len(in.b) > 0 {
		in.fail("%d bytes after the end", len(in.b))
	}
	return in.err
}

// cut reads a value with a function of package types.
func cut[T any](in *input, read func([]byte) (T, []byte, error)) (v T) {
	if in.err != nil {
		return v
	}
	v, rest, err := read(in.b)
	if err != nil {
		in.fail("%v", err)
		return v
	}
	in.b = rest
	return v
}
