package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cairn/internal/jsonobject"
	"cairn/types"
)

// reader takes a document apart. The first fault sticks, and what is read after it
// has no meaning.
type reader struct{ err error }

// fields are those of one object of a document.
type fields struct {
	*reader
	path   string
	values map[string]json.RawMessage
}

func (r *reader) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %w", ErrFormat, path, fmt.Errorf(format, args...))
	}
}

// object reads an object that has all the required fields, perhaps some of the
// optional ones, and no other; both are names with a space between.
func (r *reader) object(path string, value []byte, required, optional string) fields {
	f := fields{r, path, nil}
	o, err := jsonobject.Parse(value)
	if err != nil {
		r.fail(path, "%w", err)
		return f
	}
	known := strings.Fields(required + " " + optional)
	for _, key := range o.Keys {
		if !slices.Contains(known, key) {
			r.fail(path, "unknown field %.40q; the fields are %s", key, strings.Join(known, ", "))
			return f
		}
	}
	for _, key := range strings.Fields(required) {
		if o.Values[key] == nil {
			r.fail(path, "field %q is missing", key)
		}
	}
	f.values = o.Values
	return f
}

func (f fields) has(key string) bool { return f.values[key] != nil }

func (f fields) wrong(key, format string, args ...any) { f.fail(f.path+"."+key, format, args...) }

func (f fields) object(key, required, optional string) fields {
	return f.reader.object(f.path+"."+key, f.values[key], required, optional)
}

func (f fields) text(key string) (text string) {
	value := f.values[key]
	if kind := jsonobject.KindOf(value); kind != "string" {
		f.wrong(key, "a text is needed, not %q", kind)
		return ""
	}
	if err := json.Unmarshal(value, &text); err != nil {
		f.wrong(key, "%w", err)
	}
	return text
}

func (f fields) number(key string) uint32 {
	value := f.values[key]
	n, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil {
		f.wrong(key, "a whole number from 0 to 4294967295 is needed, not %.40s", value)
	}
	return uint32(n)
}

func (f fields) bytes(key string) []byte {
	b, err := hex.DecodeString(f.text(key))
	if err != nil {
		f.wrong(key, "%w", err)
	}
	return b
}

// sum reads the root of a tree: 32 bytes as they are, not reversed.
func (f fields) sum(key string) (sum [32]byte) {
	b := f.bytes(key)
	if len(b) != len(sum) {
		f.wrong(key, "a root has %d bytes, not %d", len(sum), len(b))
	}
	copy(sum[:], b)
	return sum
}

func (f fields) hash(key string) types.Hash {
	h, err := types.ParseHash(f.text(key))
	if err != nil {
		f.wrong(key, "%w", err)
	}
	return h
}

// list reads an array of at most so many values. What follows them is not held.
func (f fields) list(key string, most int) []json.RawMessage {
	if kind := jsonobject.KindOf(f.values[key]); kind != "array" {
		f.wrong(key, "an array is needed, not %q", kind)
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(f.values[key]))
	_, err := d.Token() // [
	var values []json.RawMessage
	for err == nil && d.More() {
		if len(values) == most {
			f.wrong(key, "more than %d values", most)
			return nil
		}
		var value json.RawMessage
		err = d.Decode(&value)
		values = append(values, value)
	}
	if err != nil {
		f.wrong(key, "%w", err)
	}
	return values
}

func (f fields) branch(key string) []types.Hash {
	var branch []types.Hash
	for i, value := range f.list(key, maxBranch) {
		item := fields{f.reader, f.path + "." + key, map[string]json.RawMessage{strconv.Itoa(i): value}}
		branch = append(branch, item.hash(strconv.Itoa(i)))
	}
	return branch
}

// decoded reads a field in hex that has an encoding of its own.
func decoded[T any](f fields, key string, decode func([]byte) (T, error)) T {
	v, err := decode(f.bytes(key))
	if err != nil {
		f.wrong(key, "%w", err)
	}
	return v
}
