package io.ksm4j.it;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

/**
 * Runs the tests of a class beside those of others. They work in processes of their own, so they see nothing of what other tests do in
 * this JVM, and need no {@code ksmd}. They may mark memory.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@Execution(ExecutionMode.CONCURRENT)
@ResourceLock(value = Aside.MARKED_MEMORY, mode = ResourceAccessMode.READ)
@interface Aside {

    /** A lock for tests during which no other test may mark memory: what is marked may merge. */
    String MARKED_MEMORY = "marked memory";
}
