// Package jsonobject reads one JSON object strictly. Where encoding/json makes
// the best of doubtful input, taking the last of two equal keys, a replacement
// character for broken text, a nearby float for a number, this package refuses,
// or leaves the text as it is: a genesis file and a request that moves money
// must mean the same to every reader. What it accepts is JSON (RFC 8259), and
// nothing is looked up by case-insensitive keys.
package jsonobject

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxSize is the most bytes that Parse takes; callers may want far fewer.
	MaxSize = 64 << 20
	// MaxDepth is how many objects and arrays may be inside one another.
	MaxDepth = 32
)

var (
	// ErrSyntax says that the input is not one JSON object in UTF-8, or goes
	// beyond MaxSize or MaxDepth.
	ErrSyntax = errors.New("not one JSON object")
	// ErrDuplicate says that an object, at any depth, has a key twice.
	ErrDuplicate = errors.New("duplicate key")
)

// Object is a parsed object. Nested values are checked, but not taken apart.
type Object struct {
	Keys   []string                   // in the order of the input, each once
	Values map[string]json.RawMessage // the text of each value without the space around it; a part of the input
}

// Parse reads data, which must hold one object and nothing else but white
// space; otherwise ErrSyntax or ErrDuplicate, which say where. The result uses
// the memory of data.
func Parse(data []byte) (*Object, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes are more than %d", ErrSyntax, len(data), MaxSize)
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, s.unexpected("an object, which begins with {")
	}
	object := &Object{Keys: make([]string, 0, 8), Values: make(map[string]json.RawMessage, 8)}
	err := s.object(1, func(key string) bool {
		_, again := object.Values[key]
		return again
	}, func(key string, value []byte) {
		object.Keys = append(object.Keys, key)
		object.Values[key] = value
	})
	if err != nil {
		return nil, err
	}
	s.space()
	if s.at < len(s.data) {
		return nil, s.unexpected("the end")
	}
	return object, nil
}

// KindOf returns what a value out of an Object is: "object", "array", "string",
// "number", "boolean" or "null"; "" for no value at all.
func KindOf(value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// scanner goes through data once, at is the next byte.
type scanner struct {
	data []byte
	at   int
}

// peek returns the next byte, 0 at the end: no byte 0 is valid outside a string.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take steps over c, which is not 0, if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) fail(format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %s", ErrSyntax, s.at, fmt.Sprintf(format, args...))
}

func (s *scanner) unexpected(want string) error {
	if s.at == len(s.data) {
		return s.fail("the input ends where there should be %s", want)
	}
	r, size := utf8.DecodeRune(s.data[s.at:])
	if r == utf8.RuneError && size == 1 {
		return s.fail("invalid UTF-8")
	}
	return s.fail("%q where there should be %s", r, want)
}

// object reads an object that opens at the next byte. has tells whether a key
// was there already; add gets each key and the text of its value.
func (s *scanner) object(depth int, has func(key string) bool, add func(key string, value []byte)) error {
	s.at++ // {
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("a key in quotation marks")
		}
		start := s.at
		key, err := s.key()
		if err != nil {
			return err
		}
		if has(key) {
			return fmt.Errorf("%w %q at byte %d", ErrDuplicate, key, start)
		}
		s.space()
		if !s.take(':') {
			return s.unexpected("a colon")
		}
		s.space()
		start = s.at
		if err := s.value(depth); err != nil {
			return err
		}
		add(key, s.data[start:s.at:s.at])
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("a comma or }")
		}
		s.space()
	}
}

// value steps over any value inside of depth objects and arrays.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case (c == '{' || c == '[') && depth == MaxDepth:
		return s.fail("more than %d objects and arrays inside one another", MaxDepth)
	case c == '{':
		seen := map[string]struct{}{}
		return s.object(depth+1, func(key string) bool {
			_, again := seen[key]
			return again
		}, func(key string, _ []byte) {
			seen[key] = struct{}{}
		})
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.text()
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := s.at + len(word); end <= len(s.data) && string(s.data[s.at:end]) == word {
			s.at = end
			return nil
		}
	}
	return s.unexpected("a value")
}

func (s *scanner) array(depth int) error {
	s.at++ // [
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("a comma or ]")
		}
		s.space()
	}
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('.') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return nil
}

// digits steps over at least one digit.
func (s *scanner) digits() error {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	if s.at == start {
		return s.unexpected("a digit")
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// key reads a string and returns what it stands for.
func (s *scanner) key() (string, error) {
	start := s.at
	if err := s.text(); err != nil {
		return "", err
	}
	literal := s.data[start:s.at]
	for _, c := range literal {
		if c == '\\' {
			var key string
			err := json.Unmarshal(literal, &key)
			return key, err
		}
	}
	return string(literal[1 : len(literal)-1]), nil
}

// text steps over a string, in which everything must stand for valid Unicode.
func (s *scanner) text() error {
	s.at++ // "
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.fail("the control character %q inside a string", c)
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRune(s.data[s.at:])
			if r == utf8.RuneError && size == 1 {
				return s.fail("invalid UTF-8")
			}
			s.at += size
		}
	}
	return s.unexpected("the end of a string")
}

func (s *scanner) escape() error {
	s.at++ // \
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return s.unexpected("an escape: one of \"\\/bfnrtu")
	}
	first, err := s.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return err
	}
	if s.take('\\') && s.peek() == 'u' {
		second, err := s.unit()
		if err != nil {
			return err
		}
		if utf16.DecodeRune(first, second) != utf8.RuneError {
			return nil
		}
	}
	return s.fail("half of a surrogate pair stands for no character")
}

// unit reads the u of an escape and its four hex digits.
func (s *scanner) unit() (rune, error) {
	s.at++ // u
	var unit rune
	for range 4 {
		c := s.peek()
		switch {
		case isDigit(c):
			unit = unit<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit = unit<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.unexpected("a hex digit")
		}
		s.at++
	}
	return unit, nil
}
