// Package archive works on a whole chain at once: it writes it to a block file,
// reads one back, and re-checks everything that is stored in a data directory.
//
// A block file is the easiest way to move a chain, and the easiest way in for
// another implementation (docs/protocol.md, section 9): the line "cairn blocks
// 1", then the network's genesis file and the blocks of the best chain from
// height 1 on, each preceded by its length in four bytes. It is written and read
// as a stream, so a pipe will do, and the memory that is used does not grow with
// it.
package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cairn/consensus"
)

// magic is the first line of a block file.
const magic = "cairn blocks 1\n"

// maxGenesis bounds the genesis file in a block file; a network of a hundred
// thousand allocations is far below it.
const maxGenesis = 64 << 20

// bufferSize is how much of a block file is read or written at a time.
const bufferSize = 1 << 20

var (
	// ErrNotBlockFile says that what was read is no block file, or one of a
	// later version.
	ErrNotBlockFile = errors.New("not a block file")
	// ErrTruncated says that a block file ends inside a block. What came before
	// is as good as ever.
	ErrTruncated = errors.New("the block file ends too early")
	// ErrOtherNetwork says that a block file is of another network than the data
	// that it was to be imported into.
	ErrOtherNetwork = errors.New("the block file is of another network")
)

// Reader reads a block file.
type Reader struct {
	r      *bufio.Reader
	rules  *consensus.Rules
	height uint32 // of the block that was read last
	offset int64
	buf    []byte
}

// NewReader reads the beginning of a block file. Its errors are ErrNotBlockFile,
// ErrTruncated, what is wrong with the genesis file, and those of r.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{r: bufio.NewReaderSize(r, bufferSize)}
	var first [len(magic)]byte
	if _, err := io.ReadFull(b.r, first[:]); err == nil && string(first[:]) != magic || ended(err) {
		return nil, fmt.Errorf("%w: it does not begin with the line %q", ErrNotBlockFile, magic[:len(magic)-1])
	} else if err != nil {
		return nil, err
	}
	b.offset = int64(len(magic))
	text, err := b.record(maxGenesis)
	switch {
	case err == io.EOF:
		err = ErrTruncated
	case errors.Is(err, errLength):
		err = fmt.Errorf("%w: %w", ErrNotBlockFile, err)
	}
	if err == nil {
		b.rules, err = consensus.ParseGenesis(text)
	}
	if err != nil {
		return nil, fmt.Errorf("the block file's genesis file: %w", err)
	}
	return b, nil
}

// Rules returns the rules of the network whose blocks these are.
func (b *Reader) Rules() *consensus.Rules { return b.rules }

// Height returns the height that the block which was read last has in the file's
// count; 0 before the first.
func (b *Reader) Height() uint32 { return b.height }

// Offset returns how many bytes of the file have been read.
func (b *Reader) Offset() int64 { return b.offset }

// Next reads the encoding of the next block, which is not looked into; io.EOF
// after the last. Other errors name the block by its height: ErrTruncated,
// consensus.ErrBlockSize, and those of the underlying reader. After an error there
// is nothing more to read.
func (b *Reader) Next() ([]byte, error) {
	data, err := b.record(b.rules.MaxBlockSize)
	if err == io.EOF {
		return nil, err
	}
	if errors.Is(err, errLength) {
		err = fmt.Errorf("%w: %w", consensus.ErrBlockSize, err)
	}
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", uint64(b.height)+1, err)
	}
	b.height++
	return bytes.Clone(data), nil
}

// errLength says that a length in a block file is above the most that it may be.
var errLength = errors.New("too long")

// record reads a length and so many bytes, which are valid until the next call;
// io.EOF where there is not even the first byte of a length.
func (b *Reader) record(most uint32) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(b.r, prefix[:]); err == io.EOF {
		return nil, err
	} else if err != nil {
		return nil, truncated(err)
	}
	length := binary.LittleEndian.Uint32(prefix[:])
	if length > most {
		return nil, fmt.Errorf("%w: %d bytes, not %d", errLength, length, most)
	}
	// What is allocated grows with what is really there.
	data := bytes.NewBuffer(b.buf[:0])
	n, err := io.CopyN(data, b.r, int64(length))
	b.offset += int64(len(prefix)) + n
	b.buf = data.Bytes()
	return b.buf, truncated(err)
}

// ended tells whether a read failed because the file ends.
func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// truncated makes the end of a file within a record an ErrTruncated.
func truncated(err error) error {
	if ended(err) {
		return ErrTruncated
	}
	return err
}
