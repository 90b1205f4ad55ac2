/** The command {@code ksm}: whether merging works here, what it saves, and how to have more of it. */
package io.ksm4j.tools;
