package syncer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"cairn/consensus"
	"cairn/types"
)

// The calls of docs/sync.md, below the base URL of a node.
const (
	// Path is where a node serves this version of the format: Handler is to be
	// mounted there.
	Path = "/sync/1/"

	tipPath     = Path + "tip"
	headersPath = Path + "headers"
	blocksPath  = Path + "blocks"
	genesisPath = Path + "genesis"

	mediaType = "application/octet-stream"
)

// What one call may ask for. The numbers are part of the format.
const (
	maxLocator = 64      // hashes in a locator
	maxHeaders = 100_000 // headers in an answer
	maxBlocks  = 128     // blocks in an answer
)

// errFormat says that a neighbour's answer, or a caller's question, is not of
// the form in docs/sync.md. What exactly is wrong follows in the text.
var errFormat = errors.New("not the sync format")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFormat, fmt.Sprintf(format, args...))
}

// claim is what a node says of its best chain at one moment. Nothing in it is
// to be believed before the headers show it.
type claim struct {
	Chain    types.Hash     // the network: the hash of its genesis block
	Instance [16]byte       // random, made anew by each process: tells a node that it talks to itself
	Height   uint32         // of the tip
	Hash     types.Hash     // of the tip
	Work     consensus.Work // of the chain, genesis not counted
}

const claimSize = 32 + 16 + 4 + 32 + 32

func (c *claim) append(b []byte) []byte {
	b = append(b, c.Chain[:]...)
	b = append(b, c.Instance[:]...)
	b = binary.LittleEndian.AppendUint32(b, c.Height)
	b = append(b, c.Hash[:]...)
	work := c.Work.LittleEndian()
	return append(b, work[:]...)
}

// decodeClaim reads exactly claimSize bytes. Every such string is some claim.
func decodeClaim(b []byte) (c claim, err error) {
	if len(b) != claimSize {
		return claim{}, formatError("a claim has %d bytes, not %d", claimSize, len(b))
	}
	copy(c.Chain[:], b)
	copy(c.Instance[:], b[32:])
	c.Height = binary.LittleEndian.Uint32(b[48:])
	copy(c.Hash[:], b[52:])
	c.Work = consensus.WorkFromLittleEndian([32]byte(b[84:]))
	return c, nil
}

// readClaim reads an answer to tipPath, which ends with the claim.
func readClaim(r io.Reader) (claim, error) {
	var b [claimSize]byte
	if err := readFull(r, b[:]); err != nil {
		return claim{}, err
	}
	c, err := decodeClaim(b[:])
	if err != nil {
		return claim{}, err
	}
	return c, readEnd(r)
}

// headerReader reads an answer to headersPath: a claim, a count, and as many
// headers.
type headerReader struct {
	r     io.Reader
	claim claim
	count int // headers in all
	left  int // headers still to be read
}

// newHeaderReader reads up to the first header and refuses a count above max.
func newHeaderReader(r io.Reader, max int) (*headerReader, error) {
	var b [claimSize + 4]byte
	if err := readFull(r, b[:]); err != nil {
		return nil, err
	}
	c, err := decodeClaim(b[:claimSize])
	if err != nil {
		return nil, err
	}
	count := binary.LittleEndian.Uint32(b[claimSize:])
	if count > uint32(max) {
		return nil, formatError("%d headers, where %d were asked for", count, max)
	}
	return &headerReader{r, c, int(count), int(count)}, nil
}

// next returns the next header; io.EOF after the last, if nothing follows it.
func (h *headerReader) next() (types.Header, error) {
	if h.left == 0 {
		if err := readEnd(h.r); err != nil {
			return types.Header{}, err
		}
		return types.Header{}, io.EOF
	}
	var b [types.HeaderSize]byte
	if err := readFull(h.r, b[:]); err != nil {
		return types.Header{}, err
	}
	h.left--
	return types.DecodeHeader(b[:])
}

// readSize reads the length in front of a block; 0 says that the neighbour does
// not have it. A length above max is refused, before anything is allocated.
func readSize(r io.Reader, max int) (int, error) {
	var b [4]byte
	if err := readFull(r, b[:]); err != nil {
		return 0, err
	}
	size := binary.LittleEndian.Uint32(b[:])
	if uint64(size) > uint64(max) {
		return 0, formatError("a block of %d bytes, where the network allows %d", size, max)
	}
	return int(size), nil
}

// readFull reads len(b) bytes; a stream that ends before is not of the format.
func readFull(r io.Reader, b []byte) error {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return formatError("the answer ends %d bytes too early", len(b)-n)
	}
	return err
}

// readEnd checks that the stream ends here.
func readEnd(r io.Reader) error {
	var b [1]byte
	for range 100 { // a reader may return nothing a few times
		n, err := r.Read(b[:])
		switch {
		case n > 0:
			return formatError("the answer goes on after its end")
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// formatHashes writes hashes as they stand in a query: 64 lower-case hex digits
// each, as everywhere, with commas between.
func formatHashes(hashes []types.Hash) string {
	text := make([]string, len(hashes))
	for i := range hashes {
		text[i] = hashes[i].String()
	}
	return strings.Join(text, ",")
}

// parseHashes reads what formatHashes writes, 1 to max hashes.
func parseHashes(text string, max int) ([]types.Hash, error) {
	const digits = 2 * len(types.Hash{})
	n := (len(text) + 1) / (digits + 1)
	if n < 1 || n > max || len(text) != n*(digits+1)-1 {
		return nil, formatError("1 to %d hashes of %d hex digits, with commas between", max, digits)
	}
	hashes := make([]types.Hash, n)
	for i := range hashes {
		at := i * (digits + 1)
		hash, err := types.ParseHash(text[at : at+digits])
		if err != nil || hash.String() != text[at:at+digits] || i > 0 && text[at-1] != ',' {
			return nil, formatError("hash %d is not 64 lower-case hex digits with a comma after it", i+1)
		}
		hashes[i] = hash
	}
	return hashes, nil
}
