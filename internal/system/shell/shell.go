// Package shell is the only way to put text that we did not write into a command
// line: one that a machine runs, and one that a person is told to type.
package shell

import "strings"

// plain are the characters of words that mean the same without quotes, to POSIX
// shells, zsh and fish; but zsh looks for a command by "=" at the beginning.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+:,./-="

// Quote makes one word of a POSIX shell from any text without NUL bytes, which
// no command line can carry. Not for the first word of a command, where "a=b" is
// no command in any shell.
func Quote(text string) string {
	if text != "" && text[0] != '=' && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Line is a command line of these words.
func Line(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}
