package types

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// ErrMalformed is the error of every decoder in this package: the bytes are not
// the one encoding of a value. What exactly is wrong follows in the text.
//
// Whoever relays a block can damage its body without touching the header that
// was worked for, so this error never says anything about the header.
var ErrMalformed = errors.New("malformed encoding")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// decoder reads fixed-width little-endian values from the front of b. The first
// fault sticks: later reads return zero values, so callers check err once. It
// never allocates from a length that it has not checked against what is there.
type decoder struct {
	b      []byte
	err    error
	borrow bool // what is read shares the memory of b
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
	d.b = nil
}

// take returns the next n bytes, which alias the input.
func (d *decoder) take(n int) (p []byte) {
	if n > len(d.b) { // as always after a fault
		d.tooShort(n)
		return
	}
	p, d.b = d.b[:n], d.b[n:]
	return
}

// tooShort is apart from take, which is then small enough to be part of its callers.
func (d *decoder) tooShort(n int) { d.fail("%d bytes end where %d are needed", len(d.b), n) }

func (d *decoder) u8() uint8 {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if p := d.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) str() string {
	if len(d.b) == 0 || len(d.b) <= int(d.b[0]) {
		return d.string(int(d.u8())) // which fails
	}
	p := d.b[1 : 1+int(d.b[0])]
	d.b = d.b[1+len(p):]
	return d.asString(p)
}

func (d *decoder) string(n int) string { return d.asString(d.take(n)) }

func (d *decoder) asString(p []byte) string {
	if d.borrow {
		return unsafe.String(unsafe.SliceData(p), len(p))
	}
	return string(p)
}

// count reads Bitcoin's CompactSize and rejects all but its shortest form.
func (d *decoder) count() uint64 {
	var v, least uint64
	switch tag := d.u8(); tag {
	default:
		return uint64(tag)
	case 0xfd:
		if p := d.take(2); p != nil {
			v = uint64(binary.LittleEndian.Uint16(p))
		}
		least = 0xfd
	case 0xfe:
		v, least = uint64(d.u32()), 1<<16
	case 0xff:
		v, least = d.u64(), 1<<32
	}
	if d.err == nil && v < least {
		d.fail("count %d is not in its shortest form", v)
	}
	return v
}

// end reports what went wrong, or that bytes are left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the end", len(d.b))
	}
	return d.err
}

// AppendCount appends n as Bitcoin's CompactSize in its shortest form.
func AppendCount(b []byte, n uint64) []byte {
	switch {
	case n < 0xfd:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(n))
	case n < 1<<32:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xff), n)
}

// AppendStr appends s as one length byte and its bytes. It panics when s is
// longer than 255 bytes: no such value can be written, so making one is a bug.
func AppendStr[S ~string | ~[]byte](b []byte, s S) []byte {
	if len(s) > 255 {
		panic(fmt.Sprintf("types: a str of %d bytes; the most is 255", len(s)))
	}
	return append(append(b, byte(len(s))), s...)
}

func countSize(n int) int {
	switch {
	case n < 0xfd:
		return 1
	case n < 1<<16:
		return 3
	}
	return 5
}
