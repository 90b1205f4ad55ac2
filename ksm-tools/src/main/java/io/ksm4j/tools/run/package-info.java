/** {@code ksm run}: becomes a program with all of its memory mergeable. */
package io.ksm4j.tools.run;
