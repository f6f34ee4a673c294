package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Pebble reads its logs (the write-ahead log *.log and the MANIFEST) up to the
// first chunk that is not valid and takes that for the end, since the loss of
// power leaves such an end. A changed byte leaves one too, and what follows would
// silently be gone. Hence this reader, which accounts for every byte.
//
// A log is divided into blocks of 32 KiB and those into chunks, which do not
// cross blocks: `checksum u32, length u16, kind u8`, in the write-ahead log also
// `log number u32` and, in newer kinds, `synced offset u64`, and the payload. The
// checksum is a masked CRC-32C of everything from the kind on. A record is one
// chunk of kind full, or a first, any number of middle and a last one. What is
// too short for another header at the end of a block is zeros. A log that was
// closed ends with a header of zeros but for its kind and the next log's number.
// After the end of a write-ahead log there may be zeros, see logFile.

// logSuffix ends the names of write-ahead logs.
const logSuffix = ".log"

// zerosAhead is how many bytes of zeros a write-ahead log has after what is synced.
const zerosAhead = 128 << 10

var zeros [zerosAhead]byte

// logFile is a write-ahead log that is being written, with zeros after its end. The
// sync of a commit need not wait then until the file system has noted a new length
// as well, which takes as long again as the commit itself.
type logFile struct {
	guardedFile
	written, length int64 // bytes: of records; of the file
}

// Write implements vfs.File.
func (l *logFile) Write(p []byte) (n int, err error) {
	n, err = l.guardedFile.Write(p)
	l.written += int64(n)
	return n, err
}

// SyncData implements vfs.File.
func (l *logFile) SyncData() error {
	if l.written > l.length {
		// On a disk that is nearly full there may be room for records and not for these.
		if _, err := l.WriteAt(zeros[:], l.written); err == nil {
			l.length = l.written + zerosAhead
		}
	}
	return l.guardedFile.SyncData()
}

// errTorn says that a log ends within a record.
var errTorn = errors.New("it ends in the middle of a record")

const (
	logBlock = 32 << 10
	// maxPadding is below the longest header.
	maxPadding = 18
	closedKind = 5
)

// logHeaders are the lengths of a chunk's header by (kind - 1) / 4; (kind - 1) % 4
// is the chunk's place in its record.
var logHeaders = [...]int{7, 11, 19}

const (
	fullChunk = iota
	firstChunk
	middleChunk
	lastChunk
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logReader goes through a log's chunks.
type logReader struct {
	r      io.Reader
	number uint32 // of the write-ahead log, in each of its chunks; 0 for another log
	offset int64  // of block
	block  []byte
	pos    int // in block
	inside bool
	closed bool
	more   bool // something other than zeros follows after block
}

// checkLog says where a log stops being as it was written: errTorn where it ends
// within a record, which an interrupted write can leave, or another error.
func checkLog(r io.Reader, number uint32) error {
	l := logReader{r: r, number: number, block: make([]byte, 0, logBlock)}
	for {
		more, err := l.next()
		if err != nil {
			return fmt.Errorf("%w, at byte %d", err, l.offset+int64(l.pos))
		}
		if !more {
			return nil
		}
	}
}

// next checks one chunk; false at the end.
func (l *logReader) next() (bool, error) {
	if l.pos == len(l.block) {
		return l.load()
	}
	rest := l.block[l.pos:]
	if len(rest) <= maxPadding && len(l.block) == logBlock && zero(rest) {
		l.pos = len(l.block)
		return true, nil
	}
	if l.number != 0 && (l.closed || zero(rest[:min(len(rest), logHeaders[0])])) {
		ends, err := l.onlyZeros(l.pos)
		if ends && l.inside {
			err = errTorn
		}
		if ends || err != nil {
			return false, err
		}
	}
	if l.closed {
		return false, errors.New("it goes on after its end")
	}
	return l.chunk(rest)
}

// onlyZeros tells whether all bytes are zeros from a place in the block to the end
// of the file. Nothing but that can be asked afterwards: it reads on.
func (l *logReader) onlyZeros(from int) (bool, error) {
	if l.more || !zero(l.block[from:]) {
		return false, nil
	}
	rest := make([]byte, logBlock)
	for {
		n, err := io.ReadFull(l.r, rest)
		if l.more = !zero(rest[:n]); l.more {
			return false, nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// load reads the next block; false at the end of the file.
func (l *logReader) load() (bool, error) {
	l.offset += int64(len(l.block))
	n, err := io.ReadFull(l.r, l.block[:logBlock])
	l.block, l.pos = l.block[:n], 0
	switch {
	case err == io.EOF && l.inside:
		return false, errTorn
	case err == io.EOF:
		return false, nil
	case err == io.ErrUnexpectedEOF:
		return true, nil
	}
	return true, err
}

func (l *logReader) chunk(rest []byte) (bool, error) {
	if len(rest) < logHeaders[0] {
		return false, errTorn
	}
	length, kind := int(binary.LittleEndian.Uint16(rest[4:])), rest[6]
	if kind == 0 || int(kind) > 4*len(logHeaders) {
		return false, l.wrong(logHeaders[0], "no record begins with %x", rest[:logHeaders[0]])
	}
	header := logHeaders[(kind-1)/4]
	if len(rest) < header+length {
		return false, errTorn
	}
	if kind == closedKind && string(rest[:header]) == string(l.end()) && !l.inside {
		l.closed = true
		l.pos += header
		return true, nil
	}
	if header > logHeaders[0] && binary.LittleEndian.Uint32(rest[7:]) != l.number {
		return false, l.wrong(header+length, "a record is of another log")
	}
	sum := crc32.Checksum(rest[6:header+length], castagnoli)
	if masked := (sum>>15 | sum<<17) + 0xa282ead8; masked != binary.LittleEndian.Uint32(rest) {
		return false, l.wrong(header+length, "a record does not match its checksum")
	}
	place := (kind - 1) % 4
	if begins := place == fullChunk || place == firstChunk; begins == l.inside {
		return false, errors.New("a record's parts are out of order")
	}
	l.inside = place == firstChunk || place == middleChunk
	l.pos += header + length
	return true, nil
}

// wrong is the error for a chunk of a size: errTorn where it ends in zeros that go on
// to the end of a write-ahead log, which an interrupted write can leave.
func (l *logReader) wrong(size int, format string, args ...any) error {
	if l.number != 0 && l.block[l.pos+size-1] == 0 {
		torn, err := l.onlyZeros(l.pos + size)
		if err != nil {
			return err
		}
		if torn {
			return errTorn
		}
	}
	return fmt.Errorf(format, args...)
}

// end returns the header that ends a log that was closed.
func (l *logReader) end() []byte {
	b := append(make([]byte, 0, logHeaders[1]), 0, 0, 0, 0, 0, 0, closedKind)
	return binary.LittleEndian.AppendUint32(b, l.number+1)
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
