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
 * Runs the tests of a class in parallel with those of other classes. For tests that start other processes, do not use this JVM's
 * registry, and do not need {@code ksmd}. They may mark memory.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@Execution(ExecutionMode.CONCURRENT)
@ResourceLock(value = Aside.MARKED_MEMORY, mode = ResourceAccessMode.READ)
@interface Aside {

    /**
     * The resource to lock by a test during which no other test may mark memory, because marked memory may merge, or start a process,
     * because this one is opted in and a child inherits that.
     */
    String MARKED_MEMORY = "marked memory";
}
