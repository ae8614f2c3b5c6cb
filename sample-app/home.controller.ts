import { Controller, Get, Redirect } from '@nestjs/common';

/** Whoever opens the app's address in a browser comes to see its jobs. */
@Controller()
export class HomeController {
  @Get()
  @Redirect('/admin/jobs')
  home(): void {}
}
