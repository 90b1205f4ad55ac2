package io.ksm4j.it;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.condition.EnabledIf;

/** Skips what only root may do: become another user, unshare namespaces, read others' memory or {@code /proc/kpageflags}. */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@EnabledIf(value = "io.ksm4j.it.Machine#isRoot", disabledReason = "takes root")
@interface EnabledIfRoot {}
