/** The command {@code ksm}: parses the command line, and writes manual pages and completions. */
package io.ksm4j.tools;
