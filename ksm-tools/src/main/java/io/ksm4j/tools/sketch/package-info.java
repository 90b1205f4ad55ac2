/** Small files that say which pages a process has, but not what is in them. */
package io.ksm4j.tools.sketch;
